/**
 * The fetch stage in Firefox: ranges into the cache, the second load from it, faults of the wire, a tab that is closed half-way,
 * and a private window.
 *
 * In: the harness of the fetch specs, the local hub, a Firefox. Out: an exit code.
 */
import assert from 'node:assert/strict';
import type { Browser, Page } from 'puppeteer-core';
import {
  MODEL,
  QUICK,
  SHARDS,
  sentBytes,
  startPageServer,
  startTestHub,
  toHarnessUrl,
  TOTAL_BYTES,
} from '../browser/fetch/fixture.ts';
import type { TabWorker } from '../browser/fetch/harness/tab.worker.ts';
import type { Fault, Hub } from '../hub/index.ts';
import { findFirefox, PRIVATE_WINDOWS, startFirefox } from './browser.ts';

/** 0: all is well, or there is nothing to run it on. */
export async function run(): Promise<number> {
  const executablePath = findFirefox();
  if (executablePath === null) {
    console.log('SKIPPED: no Firefox was found (Debian: apt-get install firefox-esr)');
    return 0;
  }
  const server = await startPageServer();
  const url = toHarnessUrl(server);
  try {
    const browser = await startFirefox(executablePath);
    try {
      for (const [name, check] of Object.entries(CHECKS)) await runCheck(name, browser, url, check);
    } finally {
      await browser.close();
    }
    const secretive = await startFirefox(executablePath, PRIVATE_WINDOWS);
    try {
      await runCheck('a private window', secretive, url, checkPrivateWindow);
    } finally {
      await secretive.close();
    }
    return 0;
  } catch (error) {
    console.error(error);
    return 1;
  } finally {
    await server.close();
  }
}

/** What a check works with. */
interface Scene {
  readonly hub: Hub;
  /** A page with an empty cache and the model open. */
  readonly tab: Tab;
  readonly openTab: () => Promise<Tab>;
}

const FAULTS: readonly (readonly [string, Fault, number])[] = [
  ['connections that are cut', { type: 'cutRandom', seed: 7 }, 6],
  ['connections that are reset', { type: 'cut', afterBytes: 100_000, reset: true }, 4],
  ['a line that stalls', { type: 'stall', afterBytes: 50_000 }, 2],
  ['a burst of 503', { type: 'status', status: 503 }, 4],
  ['a whole body instead of a range', { type: 'wholeBody' }, Infinity],
  ['a wrong Content-Range', { type: 'contentRange', shiftBytes: 1 }, 2],
];

const CHECKS: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  'a cold load comes in ranges, the second asks for no weight byte': async ({ hub, tab, openTab }) => {
    assert.equal(await tab.download(), TOTAL_BYTES);
    await tab.expectOriginals(hub);
    const ranges = hub.requests.entries.filter(({ kind, status }) => kind === 'content' && status === 206);
    assert.ok(ranges.length >= SHARDS.length, `${ranges.length} ranges`);
    assert.equal(sentBytes(hub), TOTAL_BYTES);
    const again = await openTab();
    assert.equal(await again.download(), 0);
    assert.equal(sentBytes(hub), TOTAL_BYTES);
  },
  'bytes are read while they arrive': async ({ hub, tab }) => {
    const [shard = ''] = SHARDS;
    const download = tab.download();
    const { sha256 } = await tab.call('waitThrough', shard, 200_000);
    assert.equal(sha256, hub.commitOf(MODEL).files.get(shard)?.sha256);
    await download;
  },
  'a flipped bit is noticed, the file fetched again': async ({ hub, tab }) => {
    hub.misbehave({
      kinds: ['content'],
      path: SHARDS[1] ?? '',
      fault: { type: 'flipBit', fileOffset: 1000 },
      times: 10, // all of its ranges, once
    });
    const networkBytes = await tab.download();
    assert.ok(networkBytes > TOTAL_BYTES, `${networkBytes} bytes`);
    await tab.expectOriginals(hub);
  },
  'a tab that is closed half-way: the next goes on': async ({ hub, tab, openTab }) => {
    hub.setThrottle({ bytesPerSecond: 4_000_000 });
    const doomed = tab.download().catch(() => undefined);
    while (sentBytes(hub) < TOTAL_BYTES / 2) await sleep(10);
    const next = await openTab();
    await tab.page.close();
    await doomed;
    hub.setThrottle({});
    const networkBytes = await next.download();
    assert.ok(
      networkBytes < 0.8 * TOTAL_BYTES,
      `${networkBytes} of ${TOTAL_BYTES} bytes were fetched by the second tab`,
    );
    await next.expectOriginals(hub);
  },
  'two tabs: each byte crosses the network once': async ({ hub, tab, openTab }) => {
    const other = await openTab();
    await Promise.all([tab.download(), other.download()]);
    assert.equal(sentBytes(hub), TOTAL_BYTES);
    await other.expectOriginals(hub);
  },
  ...Object.fromEntries(
    FAULTS.map(([name, fault, times]) => [
      name,
      async ({ hub, tab }: Scene) => {
        const rule = hub.misbehave({ kinds: ['content'], path: /safetensors/u, fault, times });
        await tab.download();
        assert.ok(rule.used > 0, 'the fault was met');
        await tab.expectOriginals(hub);
      },
    ]),
  ),
};

/**
 * Firefox gives a private window a file system, or it does not, by version: then the error has to say what to do. In both cases
 * the files can be read as they come, and be kept nowhere.
 */
async function checkPrivateWindow({ hub, tab }: Scene): Promise<void> {
  const started = await tab.tryCall('start', QUICK);
  if (started.error) {
    assert.equal(started.error.code, 'storage_unavailable');
    assert.match(started.error.message, /ordinary window/u);
    console.log('    this Firefox has no storage there: storage_unavailable');
  } else {
    await tab.call('open', hub.endpoint, MODEL);
    await tab.download();
    await tab.expectOriginals(hub);
    await tab.call('close');
    await tab.call('removeAll'); // what the cache has would be read there
  }
  await checkPassing({ hub, tab });
}

async function checkPassing({ hub, tab }: Pick<Scene, 'hub' | 'tab'>): Promise<void> {
  await tab.call('openUncached', hub.endpoint, MODEL);
  const { hashes, networkBytes } = await tab.call('readPassing', SHARDS, 200_000);
  assert.deepEqual(
    hashes,
    SHARDS.map((path) => hub.commitOf(MODEL).files.get(path)?.sha256),
  );
  assert.equal(networkBytes, TOTAL_BYTES);
}

async function runCheck(
  name: string,
  browser: Browser,
  url: string,
  check: (scene: Scene) => Promise<void>,
): Promise<void> {
  const hub = await startTestHub();
  const tabs: Tab[] = [];
  const openPage = async (): Promise<Tab> => {
    const page = await browser.newPage();
    await page.goto(url);
    await page.waitForFunction(() => 'tab' in window);
    const tab = new Tab(page);
    tabs.push(tab);
    return tab;
  };
  const openTab = async (): Promise<Tab> => {
    const tab = await openPage();
    await tab.call('start', QUICK);
    await tab.call('open', hub.endpoint, MODEL);
    return tab;
  };
  try {
    let tab = await openPage();
    if (check !== checkPrivateWindow) {
      await tab.call('removeAll');
      tab = await openTab();
    }
    const startMs = performance.now();
    await Promise.race([check({ hub, tab, openTab }), failAfter(CHECK_TIMEOUT_MS)]);
    console.log(`  ok: ${name} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`);
  } catch (error) {
    throw new Error(`${name}: ${String(error)}`, { cause: error });
  } finally {
    for (const { page } of tabs) if (!page.isClosed()) await page.close();
    await hub.close();
  }
}

/** A page with the harness. */
class Tab {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  async call<K extends keyof TabWorker>(
    method: K,
    ...args: Parameters<TabWorker[K]>
  ): Promise<Awaited<ReturnType<TabWorker[K]>>> {
    const { ok, error } = await this.tryCall(method, ...args);
    if (error) throw new Error(`${method}: ${error.code}: ${error.message}`);
    return ok as Awaited<ReturnType<TabWorker[K]>>;
  }

  tryCall<K extends keyof TabWorker>(method: K, ...args: Parameters<TabWorker[K]>): ReturnType<Window['tab']['call']> {
    return this.page.evaluate((name, values) => window.tab.call(name, ...values), method, args);
  }

  /** Of all shards; yields the bytes that came from the network. */
  async download(): Promise<number> {
    const { summary, error } = await this.call('download', SHARDS);
    if (error) throw new Error(`${error.code}: ${error.message}`);
    return summary?.networkBytes ?? -1;
  }

  async expectOriginals(hub: Hub): Promise<void> {
    for (const path of SHARDS) {
      assert.equal(await this.call('hashBlob', path), hub.commitOf(MODEL).files.get(path)?.sha256, path);
    }
    assert.equal((await this.call('listFiles')).partial, 0);
    assert.deepEqual(
      (await this.call('locks')).filter((name) => name.startsWith('firstlight:blob:')),
      [],
    );
  }
}

/** A check that hangs is named. */
const CHECK_TIMEOUT_MS = 60_000;

async function failAfter(delayMs: number): Promise<never> {
  await sleep(delayMs);
  throw new Error(`It did not end within ${delayMs / 1000} s.`);
}

function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}
