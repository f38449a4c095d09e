/**
 * Kills the browser at a seeded instant of a download, of its last records, or of an eviction, starts it again over the same
 * profile, and checks: nothing unverified is readable, a load completes, and little was fetched again.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, MODEL, openTab, QUICK, sentBytes, SHARDS, startTestHub, TOTAL_BYTES } from './fixture.ts';
import { startMortalBrowser } from './mortal-browser.ts';

export type KillPhase = 'download' | 'record' | 'eviction';

/** What a kill cost. */
export interface KillOutcome {
  readonly phase: KillPhase;
  readonly sentBeforeKill: number;
  /** Bytes that crossed the network twice, as the server counted. */
  readonly againBytes: number;
}

/** `fraction` in [0, 1): where in the phase the kill falls. */
export async function killAndRecover(harnessUrl: string, phase: KillPhase, fraction: number): Promise<KillOutcome> {
  const profileDir = await mkdtemp(join(tmpdir(), 'firstlight-kill-'));
  const hub = await startTestHub();
  let browser = await startMortalBrowser(profileDir);
  try {
    const doomed = await openTab(browser.context, harnessUrl, hub);
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
    const againBytes = phase === 'eviction' ? 0 : Math.max(0, sentBeforeKill + networkBytes - TOTAL_BYTES);
    if (phase !== 'eviction') {
      // One range a connection, and what the killed browser's sockets still held.
      const bound = (QUICK.connections ?? 6) * (QUICK.rangeBytes ?? 0) + IN_SOCKETS_BYTES;
      expect(againBytes, `${phase} ${fraction}`).toBeLessThanOrEqual(bound);
    }
    return { phase, sentBeforeKill, againBytes };
  } finally {
    await browser.kill();
    await hub.close();
    await rm(profileDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

const IN_SOCKETS_BYTES = 512 * 1024;

function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** The same numbers in [0, 1) for the same seed (mulberry32). */
export function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}
