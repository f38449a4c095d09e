/**
 * Writes `public/models/index.json`: what the app bundles, for stage 1 (src/hub/bundled-index.ts).
 *
 * In: `<root>/<org>/<name>/**`. Out: for each model its files with size and sha256, and a commit: the sha256 over the
 * lines `<sha256>  <sizeBytes>  <path>` sorted by path, so that it changes exactly when a file does.
 * `--check` writes nothing and fails where the index is out of date. `--root <folder>`: another place than public/models.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    root: { type: 'string', default: fileURLToPath(new URL('../public/models', import.meta.url)) },
  },
});
const indexPath = join(values.root, 'index.json');
const text = `${JSON.stringify({ models: await describeModels(values.root) }, null, 2)}\n`;

if (values.check) {
  const present = await readFile(indexPath, 'utf8').catch(() => null);
  if (present !== text) {
    console.error(
      `${indexPath} ${present === null ? 'is missing' : 'is out of date'}: run node scripts/write-model-index.mjs`,
    );
    process.exitCode = 1;
  }
} else {
  await writeFile(indexPath, text);
  console.log(`wrote ${indexPath}`);
}

/** @param {string} root */
async function describeModels(root) {
  /** @type {Record<string, { commit: string, files: { path: string, sizeBytes: number, sha256: string }[] }>} */
  const models = {};
  for (const org of await listFolders(root)) {
    for (const name of await listFolders(join(root, org))) {
      const files = await describeFiles(join(root, org, name));
      if (files.length > 0) models[`${org}/${name}`] = { commit: hashFileList(files), files };
    }
  }
  return models;
}

/** @param {string} folder */
async function describeFiles(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files = [];
  for (const path of paths) {
    const name = relative(folder, path).split(sep).join('/');
    if (name.split('/').some((segment) => segment.startsWith('.'))) continue;
    files.push({ path: name, sizeBytes: (await stat(path)).size, sha256: await hashFile(path) });
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** @param {{ path: string, sizeBytes: number, sha256: string }[]} files */
function hashFileList(files) {
  const lines = files.map(({ path, sizeBytes, sha256 }) => `${sha256}  ${sizeBytes}  ${path}\n`);
  return createHash('sha256').update(lines.join('')).digest('hex');
}

/** @param {string} path */
async function hashFile(path) {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest('hex');
}

/** @param {string} folder */
async function listFolders(folder) {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
    .sort();
}
