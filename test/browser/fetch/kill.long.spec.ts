/** 50 seeded kills (or KILLS of them): the bytes fetched again, mean and worst; KILLS_OUT names a file for all of them. */
import { writeFile } from 'node:fs/promises';
import { test } from './fixture.ts';
import { makeRandom } from '../../hub/content.ts';
import { killAndRecover, type KillOutcome, type KillPhase } from './kill-points.ts';

const KILLS = Number(process.env['KILLS'] ?? 50);
const PHASES: readonly KillPhase[] = ['download', 'download', 'download', 'record', 'eviction'];

test(`browser killed ${KILLS} times`, async ({ harnessUrl }) => {
  test.setTimeout(KILLS * 20_000);
  const random = makeRandom(20261120);
  const outcomes: KillOutcome[] = [];
  for (let index = 0; index < KILLS; index++) {
    outcomes.push(await killAndRecover(harnessUrl, PHASES[index % PHASES.length] ?? 'download', random()));
  }
  const outPath = process.env['KILLS_OUT'];
  if (outPath) await writeFile(outPath, JSON.stringify(outcomes));
  const counted = outcomes.filter((outcome) => outcome.phase !== 'eviction');
  for (const figure of ['lostBytes', 'againBytes'] as const) {
    const values = counted.map((outcome) => outcome[figure]);
    const mean = Math.round(values.reduce((sum, bytes) => sum + bytes, 0) / values.length);
    console.log(`${figure} over ${values.length} kills: mean ${mean}, worst ${Math.max(...values)}`);
  }
});
