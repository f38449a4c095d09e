/** A sample of the kill points; all 50 are in kill.long.spec.ts. */
import { test } from './fixture.ts';
import { killAndRecover } from './kill-points.ts';

for (const [phase, fraction] of [
  ['download', 0.7],
  ['record', 0.2],
  ['eviction', 0.3],
] as const) {
  test(`browser killed: ${phase} at ${fraction}`, async ({ harnessUrl }) => {
    const { lostBytes, againBytes } = await killAndRecover(harnessUrl, phase, fraction);
    test.info().annotations.push({ type: 'bytes', description: `${lostBytes} lost, ${againBytes} sent again` });
  });
}
