/**
 * Several loads of one page over one fetch worker, against the real local hub: real ports, and the worker's own engine in this
 * thread. (Of files that are kept nowhere, which needs no browser. Real workers: test/e2e/shared-fetch.spec.ts.)
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Snapshot } from '../../../src/contract/snapshot.ts';
import type { FetchDoor } from '../../../src/contract/worker-api.ts';
import { FetchEngine } from '../../../src/pipeline/fetch/fetch-engine.ts';
import { openFetchService, type FetchService, type SnapshotFiles } from '../../../src/pipeline/fetch/service.ts';
import type { FetchTuning } from '../../../src/pipeline/fetch/tuning.ts';
import { resolveSnapshot } from '../../../src/pipeline/resolve/resolve.ts';
import { OptionalRecords } from '../../../src/store/optional-records.ts';
import { startHub, type Hub, type LoggedRequest } from '../../hub/index.ts';
import { patchFetch } from './patch-fetch.ts';

const MODELS = ['tests/one', 'tests/two'] as const;
/** Small enough to be hashed without a worker of their own. */
const SHARDS = Array.from({ length: 8 }, (_, index) => `shard-${index}.safetensors`);
const SHARD_BYTES = 256 * 1024;
const TUNING: Partial<FetchTuning> = { rangeBytes: 32 * 1024, connections: 2, firstDelayMs: 10, maxAttempts: 3 };

let restoreFetch: () => void;
let hub: Hub;
let door: FetchDoor;
let engine: FetchEngine;

beforeAll(async () => {
  restoreFetch = patchFetch();
  const repositories = MODELS.map((id, model) => {
    const shards = SHARDS.map((path, index) => [
      path,
      { synthetic: { seed: 10 * model + index, sizeBytes: SHARD_BYTES } },
    ]);
    return [id, { main: { files: { 'config.json': '{}', ...(Object.fromEntries(shards) as object) } } }] as const;
  });
  hub = await startHub({ repositories: Object.fromEntries(repositories) });
});
afterAll(() => {
  restoreFetch();
  return hub.close();
});

beforeEach(() => {
  hub.behave();
  hub.setThrottle({});
  hub.requests.clear();
  engine = new FetchEngine({
    hasLocks: Promise.resolve(false),
    converterVersion: 1,
    startHashWorker: () => {
      throw new Error('There are no workers here.');
    },
  });
  let connection = 0;
  door = {
    open: async () => {
      const { port1, port2 } = new MessageChannel();
      engine.connect(++connection, port1);
      return { connection, port: port2 };
    },
    close: (id) => engine.disconnect(id),
  };
});

interface Load {
  readonly service: FetchService;
  readonly files: SnapshotFiles;
  readonly snapshot: Snapshot;
}

async function open(modelId: string, tuning: Partial<FetchTuning> = {}): Promise<Load> {
  const service = await openFetchService(door, { useStore: false, tuning: { ...TUNING, ...tuning } });
  const access = { endpoint: hub.endpoint, token: null };
  const snapshot = await resolveSnapshot(
    { modelId, revision: 'main', offline: false },
    { hub: access, bundledBaseUrl: null, records: new OptionalRecords(null) },
  );
  return { service, snapshot, files: await service.openUncached(snapshot, access) };
}

/** All shards, verified against what the hub announced; yields how many are right. */
async function readShards({ files, snapshot }: Load): Promise<number> {
  const download = files.download(SHARDS, { readEnds: new Map(SHARDS.map((path) => [path, SHARD_BYTES])) });
  download.catch(() => undefined);
  let right = 0;
  for (const path of SHARDS) {
    const bytes = await files.waitRange(path, { start: 0, end: SHARD_BYTES });
    const announced = snapshot.files.find((file) => file.path === path)?.hash?.hex;
    if (
      createHash('sha256')
        .update(bytes ?? new Uint8Array())
        .digest('hex') === announced
    )
      right++;
  }
  await download;
  return right;
}

/** The most requests for contents that were under way at one moment. */
function countAtOnce(entries: readonly LoggedRequest[]): number {
  const content = entries.filter(({ kind }) => kind === 'content');
  return Math.max(
    0,
    ...content.map(
      ({ startedAtMs: atMs }) =>
        content.filter(({ startedAtMs, endedAtMs }) => startedAtMs <= atMs && (endedAtMs ?? Infinity) > atMs).length,
    ),
  );
}

const requestsOf = (modelId: string): readonly LoggedRequest[] =>
  hub.requests.entries.filter(({ repository }) => repository === modelId);

describe('two loads at once', () => {
  it('share the connections: no more at once than one load may have, and each has its part', async () => {
    hub.setThrottle({ bytesPerSecondPerConnection: 2_000_000 });
    const loads = await Promise.all(MODELS.map((id) => open(id)));
    const done: string[] = [];
    const results = await Promise.all(
      loads.map(async (load) => {
        const right = await readShards(load);
        // The other one is under way when the first has ended.
        if (done.length === 0) expect(requestsOf(MODELS[0]).length * requestsOf(MODELS[1]).length).toBeGreaterThan(50);
        done.push(load.snapshot.modelId);
        return right;
      }),
    );
    expect(results).toEqual([SHARDS.length, SHARDS.length]);
    expect(countAtOnce(hub.requests.entries)).toBe(2);
    await Promise.all(loads.map(({ service }) => service.dispose()));
  });

  it('keep what each was tuned to, and its failures, to themselves', async () => {
    const [modest, greedy] = MODELS;
    hub.setThrottle({ bytesPerSecondPerConnection: 1_000_000 });
    hub.misbehave({ fault: { type: 'status', status: 503 }, path: /one.*shard-7/u });
    const loads = await Promise.all([
      open(modest, { connections: 1, maxAttempts: 1 }),
      open(greedy, { connections: 4 }),
    ]);
    const [failed, right] = await Promise.allSettled(loads.map(readShards));
    expect(failed).toMatchObject({ status: 'rejected', reason: { code: 'http_status' } });
    expect(right).toEqual({ status: 'fulfilled', value: SHARDS.length });
    expect(countAtOnce(requestsOf(modest))).toBe(1);
    expect(countAtOnce(requestsOf(greedy))).toBeGreaterThan(1);
    expect(countAtOnce(hub.requests.entries)).toBeLessThanOrEqual(4);
    await Promise.all(loads.map(({ service }) => service.dispose()));
  });

  it('one that is disposed in mid-download ends, and leaves the connections to the other', async () => {
    hub.setThrottle({ bytesPerSecondPerConnection: 1_000_000 });
    const [ended, going] = await Promise.all([open(MODELS[0]), open(MODELS[1])]);
    const lost = readShards(ended).catch((error: unknown) => error);
    const kept = readShards(going);
    await expect.poll(() => requestsOf(MODELS[0]).length).toBeGreaterThan(2);
    await ended.service.dispose();
    expect(await lost).toMatchObject({ code: expect.stringMatching(/^(aborted|disposed)$/u) as string });
    const asked = requestsOf(MODELS[0]).length;
    hub.setThrottle({});
    expect(await kept).toBe(SHARDS.length);
    // What was under way may have been counted since; the rest would have been more than fifty.
    expect(requestsOf(MODELS[0]).length).toBeLessThan(asked + 8);
    await going.service.dispose();
  });

  it('one that is cancelled has the reason of whoever cancelled it; a file of the other is read meanwhile', async () => {
    hub.misbehave({ fault: { type: 'stall', afterBytes: 0 }, path: /one.*shard-0/u });
    const [stalled, going] = await Promise.all([open(MODELS[0]), open(MODELS[1])]);
    const stop = new AbortController();
    const waiting = stalled.files
      .readAll('shard-0.safetensors', { signal: stop.signal })
      .catch((error: unknown) => error);
    await expect.poll(() => requestsOf(MODELS[0]).some(({ fault }) => fault === 'stall')).toBe(true);
    expect((await going.files.readAll('shard-1.safetensors')).byteLength).toBe(SHARD_BYTES);
    const reason = new Error('enough');
    stop.abort(reason);
    expect(await waiting).toMatchObject({ code: 'aborted', cause: reason });
    await Promise.all([stalled.service.dispose(), going.service.dispose()]);
  });
});
