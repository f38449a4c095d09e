/**
 * Kills the browser at a seeded instant of a download, of its last records, or of an eviction, starts it again over the same
 * profile, and checks: nothing unverified is readable, a load completes, and little was fetched again.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_TUNING } from '../../../src/pipeline/fetch/tuning.ts';
import { expect, MODEL, openTab, QUICK, sentBytes, SHARDS, startTestHub, TOTAL_BYTES } from './fixture.ts';
import { startMortalBrowser } from './mortal-browser.ts';

export type KillPhase = 'download' | 'record' | 'eviction';

/** What a kill cost. */
export interface KillOutcome {
  readonly phase: KillPhase;
  /** Bytes that had reached the page at the kill and had to be fetched again. */
  readonly lostBytes: number;
  /** The same as the server counts: with what the killed browser's sockets still held. */
  readonly againBytes: number;
}

/** `fraction` in [0, 1): where in the phase the kill falls. */
export async function killAndRecover(harnessUrl: string, phase: KillPhase, fraction: number): Promise<KillOutcome> {
  const profileDir = await mkdtemp(join(tmpdir(), 'firstlight-kill-'));
  const hub = await startTestHub();
  let browser = await startMortalBrowser(profileDir);
  try {
    const doomed = await openTab(browser.context, harnessUrl, hub);
    let receivedBytes = 0;
    doomed.page.on('console', (message) => {
      const match = /^received (\d+)$/.exec(message.text());
      if (match) receivedBytes = Number(match[1]);
    });
    if (phase === 'eviction') await doomed.download();
    else hub.setThrottle({ bytesPerSecond: 12_000_000 });
    const work = phase === 'eviction' ? evict() : doomed.call('download', SHARDS);
    async function evict(): Promise<unknown> {
      await doomed.call('close');
      return doomed.call('remove', [{ modelId: MODEL }]);
    }
    work.catch(() => undefined);
    if (phase !== 'eviction') {
      const target = phase === 'record' ? TOTAL_BYTES : TOTAL_BYTES * fraction;
      while (sentBytes(hub) < target) await sleep(1);
    }
    // The last range's hash, flush, move and records take some tens of ms.
    if (phase !== 'download') await sleep(fraction * 60);
    await browser.kill();
    await sleep(20);
    const sentBeforeKill = sentBytes(hub);

    hub.setThrottle({});
    browser = await startMortalBrowser(profileDir);
    const tab = await openTab(browser.context, harnessUrl, hub);
    expect(await tab.call('findLies')).toEqual([]);
    const { summary } = await tab.download();
    expect(await tab.call('findLies')).toEqual([]);
    await tab.expectOriginals(hub);
    const { networkBytes } = summary as { networkBytes: number };
    if (phase === 'eviction') return { phase, lostBytes: 0, againBytes: 0 };
    const keptBytes = TOTAL_BYTES - networkBytes;
    const lostBytes = Math.max(0, receivedBytes - keptBytes);
    // Of the first bytes that were sent none need have been seen yet; later on there is something to lose.
    if (phase === 'record' || fraction > 0.4) expect(receivedBytes).toBeGreaterThan(0);
    expect(lostBytes, `${phase} ${fraction}: more than a range a connection`).toBeLessThanOrEqual(
      DEFAULT_TUNING.connections * (QUICK.rangeBytes ?? 0),
    );
    return { phase, lostBytes, againBytes: Math.max(0, sentBeforeKill - keptBytes) };
  } finally {
    await browser.kill();
    await hub.close();
    await rm(profileDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
