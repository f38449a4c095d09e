/**
 * `npm test`: lint, types and unit tests side by side, each printed when it is through, then the browser tests.
 *
 * Ends with the first failure's exit code. Side by side, because each of the three leaves most of the cores idle.
 */
import { spawn } from 'node:child_process';

const CHECKS = ['lint', 'types', 'test:unit'];

const codes = await Promise.all(CHECKS.map((name) => run(name, 'pipe')));
const failed = codes.find((code) => code !== 0);
process.exit(failed ?? (await run('test:browser', 'inherit')));

/**
 * @param {string} script of package.json
 * @param {'pipe' | 'inherit'} output piped output is printed at once, at the end
 * @returns {Promise<number>} its exit code
 */
function run(script, output) {
  const child = spawn('npm', ['run', '--silent', script], {
    stdio: ['inherit', output, output],
    shell: process.platform === 'win32',
  });
  /** @type {Buffer[]} */
  const pieces = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (piece) => pieces.push(piece));
  return new Promise((resolve) => {
    child.once('close', (code) => {
      if (output === 'pipe') process.stdout.write(`\n> ${script}\n${Buffer.concat(pieces).toString()}`);
      resolve(code ?? 1);
    });
  });
}
