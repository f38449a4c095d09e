/**
 * Files that are kept nowhere, against the real local hub with Node's fetch: in order, verified, in bounded memory, however the
 * network fails. (Workers and a page without storage: test/browser/fetch/uncached.spec.ts, test/e2e/storage.spec.ts.)
 */
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BufferPool } from '../../../src/base/buffer-pool.ts';
import type { DownloadSummary, FetchProgress } from '../../../src/contract/cache.ts';
import type { Snapshot } from '../../../src/contract/snapshot.ts';
import { ConnectionBudget } from '../../../src/pipeline/fetch/connection-budget.ts';
import { ConnectionPool } from '../../../src/pipeline/fetch/connection-pool.ts';
import { HostPauses } from '../../../src/pipeline/fetch/host-pauses.ts';
import { createPassingDeps } from '../../../src/pipeline/fetch/passing-transfer.ts';
import { DEFAULT_TUNING } from '../../../src/pipeline/fetch/tuning.ts';
import { UncachedSession } from '../../../src/pipeline/fetch/uncached-session.ts';
import { resolveSnapshot } from '../../../src/pipeline/resolve/resolve.ts';
import { createLocalHasher, type HasherFactory } from '../../../src/store/file-hasher.ts';
import { OptionalRecords } from '../../../src/store/optional-records.ts';
import { startHub, type Hub } from '../../hub/index.ts';
import { patchFetch } from './patch-fetch.ts';

const MIB = 1024 * 1024;
const MODEL = 'tests/large';
const SHARDS = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
const [FIRST, SECOND] = SHARDS;
const SIZES = { [FIRST]: 24 * MIB + 17, [SECOND]: 5 * MIB + 3 };
const CONFIG = JSON.stringify({ model_type: 'llama' });
const WINDOW = 4 * MIB;
const TUNING = {
  ...DEFAULT_TUNING,
  rangeBytes: 256 * 1024,
  windowBytes: WINDOW,
  quietMs: 100,
  stallTimeoutMs: 2_000,
  firstDelayMs: 10,
  maxDelayMs: 50,
  progressIntervalMs: 5,
};

/** Counts what is out of the pool: the memory of everything that arrives. */
class CountingPool extends BufferPool {
  #out = 0;
  most = 0;

  override take(): ArrayBuffer {
    this.most = Math.max(this.most, ++this.#out);
    return super.take();
  }

  override give(buffer: ArrayBuffer): void {
    if (buffer.byteLength === this.sizeBytes) this.#out--;
    super.give(buffer);
  }
}

let restoreFetch: () => void;
let hub: Hub;
let snapshot: Snapshot;
let buffers: CountingPool;
let session: UncachedSession;

beforeAll(async () => {
  restoreFetch = patchFetch();
  const files = {
    'config.json': CONFIG,
    [FIRST]: { synthetic: { seed: 1, sizeBytes: SIZES[FIRST] } },
    [SECOND]: { synthetic: { seed: 2, sizeBytes: SIZES[SECOND] } },
  };
  hub = await startHub({ repositories: { [MODEL]: { main: { files } } } });
  snapshot = await resolveSnapshot(
    { modelId: MODEL, revision: 'main', offline: false },
    { hub: { endpoint: hub.endpoint, token: null }, bundledBaseUrl: null, records: new OptionalRecords(null) },
  );
});
afterAll(() => {
  restoreFetch();
  return hub.close();
});

beforeEach(async () => {
  hub.behave();
  hub.setThrottle({});
  hub.requests.clear();
  buffers = new CountingPool(MIB, 16);
  const hashers = {
    create: (...args: Parameters<HasherFactory['create']>) => createLocalHasher(...args, buffers),
  };
  const pool = new ConnectionPool(() => budget.limit);
  const budget: ConnectionBudget = new ConnectionBudget(() => pool.most);
  const deps = createPassingDeps({
    tuning: TUNING,
    buffers,
    hashers,
    budget,
    pool: pool.openShare(TUNING.connections),
    pauses: new HostPauses(() => pool.kick()).openFor(() => undefined),
  });
  session = await UncachedSession.open(deps, null, snapshot, { endpoint: hub.endpoint, token: null });
});
afterEach(() => session.close());

const never = new AbortController().signal;

/** What one load does: the download, and beside it a reader that takes the shards in file order. */
function load(
  options: {
    readonly signal?: AbortSignal;
    /** Where the reads of a shard end; what lies behind is verified only. */
    readonly readEnds?: Readonly<Record<string, number>>;
    readonly onRead?: (path: string, end: number) => Promise<void> | void;
  } = {},
): {
  readonly summary: Promise<DownloadSummary>;
  readonly hashes: Promise<Record<string, string>>;
  progress: FetchProgress[];
} {
  const { signal = never, readEnds = SIZES, onRead } = options;
  const progress: FetchProgress[] = [];
  const ends = new Map(Object.entries(readEnds));
  const summary = session.download(['config.json', ...SHARDS], signal, (step) => progress.push(step), ends);
  summary.catch(() => undefined);
  const read = async (): Promise<Record<string, string>> => {
    const hashes: Record<string, string> = {};
    for (const [path, sizeBytes] of ends) {
      const hash = createHash('sha256');
      for (let start = 0; start < sizeBytes; start += READ_BYTES) {
        const end = Math.min(sizeBytes, start + READ_BYTES);
        const bytes = await session.waitRange(path, { start, end }, signal);
        hash.update(bytes ?? new Uint8Array());
        await onRead?.(path, end);
      }
      hashes[path] = hash.digest('hex');
    }
    return hashes;
  };
  const hashes = read();
  hashes.catch(() => undefined);
  return { summary, hashes, progress };
}

const READ_BYTES = 700_000;

const expected = (path: string): string => hub.commitOf(MODEL).files.get(path)?.sha256 ?? '';
const totalBytes = CONFIG.length + SIZES[FIRST] + SIZES[SECOND];

/** Of bodies with the shards' bytes. */
function ranges(path: string): { start: number; end: number }[] {
  const entries = hub.requests.find({ kind: 'content', file: path });
  return entries.flatMap(({ range }) => {
    const match = /bytes=(\d+)-(\d+)/u.exec(range ?? '');
    return match ? [{ start: Number(match[1]), end: Number(match[2]) + 1 }] : [];
  });
}

const sentBytes = (): number => hub.requests.contentBytes();

async function expectWhole(loaded: ReturnType<typeof load>): Promise<DownloadSummary> {
  const [summary, hashes] = await Promise.all([loaded.summary, loaded.hashes]);
  for (const path of SHARDS) expect(hashes[path], path).toBe(expected(path));
  return summary;
}

/** No request runs, and for a while none begins. (One may have been on its way to the hub.) */
async function expectQuiet(): Promise<void> {
  const isQuiet = async (): Promise<boolean> => {
    const before = hub.requests.entries.length;
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { entries } = hub.requests;
    return entries.length === before && entries.every(({ endedAtMs }) => endedAtMs !== null);
  };
  await expect.poll(isQuiet, { timeout: 20_000 }).toBe(true);
}

describe('files that are kept nowhere', () => {
  it('pass their reader in order, each byte once, in memory that does not grow with the file', async () => {
    const loaded = load();
    const summary = await expectWhole(loaded);
    expect(summary).toEqual({ totalBytes, networkBytes: totalBytes, cachedBytes: 0, restarted: [], notices: [] });
    expect(session.receivedBytes()).toBe(totalBytes);
    expect(sentBytes()).toBe(totalBytes);
    // A window, the page that is being read, and two buffers for each connection.
    expect(buffers.most * MIB).toBeLessThanOrEqual(WINDOW + (1 + 2 * TUNING.connections) * MIB);
    const done = loaded.progress.map(({ doneBytes }) => doneBytes);
    expect(done).toEqual([...done].sort((a, b) => a - b));
    expect(new Set(loaded.progress.map((step) => step.totalBytes))).toEqual(new Set([totalBytes]));
    expect(done.at(-1)).toBe(totalBytes);
    expect(done.filter((bytes) => bytes === totalBytes)).toHaveLength(1);
  });

  it('are asked for no further than a window ahead of a reader that waits', async () => {
    let goOn = (): void => undefined;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    let reached = (): void => undefined;
    const atHalf = new Promise<void>((resolve) => (reached = resolve));
    const half = 12 * MIB;
    const loaded = load({
      onRead: (path, end) => {
        if (path !== FIRST || end < half) return;
        reached();
        return waiting;
      },
    });
    await atHalf;
    const furthest = (): number => Math.max(...ranges(FIRST).map(({ end }) => end));
    await expect.poll(furthest, { timeout: 20_000 }).toBeGreaterThan(half + WINDOW / 2); // so far it runs ahead
    await expectQuiet();
    expect(furthest()).toBeLessThanOrEqual(half + 2 * READ_BYTES + WINDOW);
    expect(ranges(SECOND)).toEqual([]);
    goOn();
    await expectWhole(loaded);
  });

  it('what a plan has read of a file crosses the network once, and is verified with the rest', async () => {
    const header = await session.readRange(FIRST, 0, 100_000, never);
    const config = new TextDecoder().decode(await session.readAll('config.json', never));
    expect(config).toBe(CONFIG);
    expect(header).toHaveLength(100_000);
    await expectWhole(load());
    expect(sentBytes()).toBe(totalBytes);
  });

  it('the rest of a file that is not read is fetched all the same, for its hash', async () => {
    const loaded = load({ readEnds: { [FIRST]: 3 * MIB, [SECOND]: SIZES[SECOND] } });
    await Promise.all([loaded.summary, loaded.hashes]);
    expect(sentBytes()).toBe(totalBytes);
    hub.misbehave({ path: FIRST, fault: { type: 'flipBit', fileOffset: 23 * MIB }, times: Infinity });
    const damaged = load({ readEnds: { [FIRST]: 3 * MIB, [SECOND]: SIZES[SECOND] } });
    await expect(damaged.summary).rejects.toMatchObject({
      code: 'integrity_mismatch',
      stage: 'fetch',
      detail: { path: FIRST },
    });
  });

  it('a small file that arrives damaged is fetched again', async () => {
    hub.misbehave({ path: /config\.json/u, fault: { type: 'flipBit', fileOffset: 3 }, times: 1 });
    expect(new TextDecoder().decode(await session.readAll('config.json', never))).toBe(CONFIG);
  });

  it('another content than the announced one ends the load when the file ends', async () => {
    hub.misbehave({ path: SECOND, fault: { type: 'flipBit', fileOffset: 12 }, times: Infinity });
    const loaded = load();
    await expect(loaded.summary).rejects.toMatchObject({
      code: 'integrity_mismatch',
      stage: 'fetch',
      retryable: true,
      detail: { path: SECOND },
    });
  });

  it('a file that changes on the server meanwhile ends the load', async () => {
    const rule = hub.misbehave({ path: FIRST, fault: { type: 'changed' }, skip: 6, times: Infinity });
    const loaded = load();
    await expect(loaded.summary).rejects.toMatchObject({
      code: 'file_changed',
      retryable: true,
      detail: { path: FIRST },
    });
    await expect(loaded.hashes).rejects.toMatchObject({ code: 'file_changed' });
    expect(rule.used).toBeGreaterThan(0);
  });

  it.each([
    ['a connection that breaks', { type: 'cut', afterBytes: 100_000 }, 8],
    ['a connection that is torn down', { type: 'cut', afterBytes: 60_000, reset: true }, 8],
    ['a line that falls silent', { type: 'stall', afterBytes: 50_000 }, 2],
    ['a burst of 503', { type: 'status', status: 503 }, 4],
    ['an expired signature', { type: 'expired', cors: true }, 2],
  ] as const)('%s is taken up at the byte where it ended', async (_, fault, times) => {
    const rule = hub.misbehave({ kinds: ['content'], path: FIRST, fault, times });
    await expectWhole(load());
    expect(rule.used).toBe(times);
    expect(session.receivedBytes()).toBe(totalBytes);
  });

  it('a server without ranges: the whole body is held back by its reader, in the same memory', async () => {
    hub.misbehave({ kinds: ['content'], path: FIRST, fault: { type: 'wholeBody' }, times: Infinity });
    const loaded = load();
    const summary = await expectWhole(loaded);
    expect(summary.notices).toEqual([expect.stringContaining(FIRST)]);
    expect(buffers.most * MIB).toBeLessThanOrEqual(2 * WINDOW + (1 + 2 * TUNING.connections) * MIB);
  });

  it('a network that stays away ends the load', async () => {
    hub.misbehave({ kinds: ['content'], path: SECOND, fault: { type: 'status', status: 503 }, times: Infinity });
    await expect(load().summary).rejects.toMatchObject({ code: 'http_status', stage: 'fetch' });
  });

  it('an abort ends both at once and leaves no request running', async () => {
    const stop = new AbortController();
    hub.setThrottle({ bytesPerSecond: 20 * MIB });
    const loaded = load({
      signal: stop.signal,
      onRead: (_, end) => {
        if (end > 2 * MIB) stop.abort();
      },
    });
    await expect(loaded.summary).rejects.toMatchObject({ code: 'aborted' });
    await expect(loaded.hashes).rejects.toMatchObject({ code: 'aborted' });
    await expectQuiet();
    expect(sentBytes()).toBeLessThan(totalBytes / 2);
  });

  it('closing ends a load that runs', async () => {
    const loaded = load({ onRead: (_, end) => (end > 2 * MIB ? session.close() : undefined) });
    await expect(loaded.summary).rejects.toMatchObject({ code: 'aborted' });
    await expect(loaded.hashes).rejects.toMatchObject({ code: 'aborted' });
  });

  it('a range that the file does not have, a path that the repository does not have', async () => {
    const { [FIRST]: sizeBytes } = SIZES;
    await expect(session.readRange(FIRST, sizeBytes, sizeBytes + 1, never)).rejects.toMatchObject({
      code: 'invalid_argument',
    });
    await expect(session.readAll('nothing.json', never)).rejects.toMatchObject({ code: 'file_not_found' });
    await expect(session.openBlob(FIRST)).rejects.toMatchObject({ code: 'not_cached' });
  });
});
