/**
 * Care of the cache by the API: list, share, delete, resume, verify, pin, prune.
 */
import {
  changedTiny,
  CHANGED_SHARD,
  damage,
  diskBytes,
  limitRoom,
  list,
  load,
  loadPart,
  remove,
  STORYTELLER,
  TINY,
  usage,
  usedSnapshots,
  verify,
} from './cache-support.ts';
import { checkpointFolder, expect, openApp, test } from './support.ts';

test('an empty cache; a plan is no model; a load is listed with its files, hashes and bytes', async ({
  app,
  openHub,
}) => {
  const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
  expect(await list(app)).toEqual([]);

  await app.evaluate(async (endpoint) => {
    const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
    await loader.plan('org/tiny', { device: 'wasm' });
    await loader.dispose();
  }, hub.endpoint);
  const [planned] = await list(app);
  expect(planned).toMatchObject({ modelId: 'org/tiny', complete: false });

  await load(app, hub, 'org/tiny');
  const entries = await list(app);
  expect(entries).toHaveLength(1);
  const [entry] = entries;
  expect(entry).toMatchObject({
    modelId: 'org/tiny',
    source: 'hub',
    endpoint: hub.endpoint,
    revisions: ['main'],
    commit: hub.commitOf('org/tiny').sha,
    complete: true,
    pinned: false,
  });
  const files = hub.commitOf('org/tiny').files;
  for (const { path, sizeBytes, hash, complete } of entry?.files ?? []) {
    const original = files.get(path);
    expect(sizeBytes).toBe(original?.content.sizeBytes);
    expect(hash?.hex).toBe(original?.lfs ? original.sha256 : original?.oid);
    expect(complete).toBe(true);
  }
  expect(entry?.sizeBytes).toBe(entry?.totalBytes);
  expect(entry?.ownBytes).toBe(entry?.sizeBytes);
  expect(await diskBytes(app)).toBe(entry?.sizeBytes);
  expect(await usage(app)).toMatchObject({ sizeBytes: entry?.sizeBytes, persisted: false });
  expect(Math.abs(Date.now() - (entry?.lastUsedAtMs ?? 0))).toBeLessThan(60_000);
});

test('two revisions share blobs: counted once, and deleting one leaves the other loadable offline', async ({
  app,
  openHub,
}) => {
  const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
  const first = await load(app, hub, 'org/tiny');
  await hub.push('org/tiny', 'main', { files: await changedTiny() });
  hub.requests.clear();
  const second = await load(app, hub, 'org/tiny');
  const shardBytes = hub.commitOf('org/tiny').files.get(CHANGED_SHARD)?.content.sizeBytes ?? 0;
  expect(second.offline).toBe(false);
  expect(hub.requests.contentBytes()).toBe(shardBytes);

  const entries = await list(app);
  expect(entries.map(({ commit, revisions }) => [commit, revisions])).toEqual([
    [second.commit, ['main']],
    [first.commit, []],
  ]);
  for (const { sizeBytes, totalBytes, ownBytes } of entries) {
    expect(sizeBytes).toBe(totalBytes);
    expect(ownBytes).toBe(shardBytes);
  }
  const [newer] = entries;
  const wholeBytes = (newer?.sizeBytes ?? 0) + shardBytes;
  expect((await usage(app)).sizeBytes).toBe(wholeBytes);
  expect(await diskBytes(app)).toBe(wholeBytes);

  const removal = await remove(app, { modelId: 'org/tiny', commit: first.commit });
  expect(removal).toEqual({
    removed: [{ endpoint: hub.endpoint, modelId: 'org/tiny', commit: first.commit }],
    inUse: [],
    freedBytes: shardBytes,
  });
  expect(await diskBytes(app)).toBe(newer?.sizeBytes);
  expect(await list(app)).toMatchObject([{ commit: second.commit, ownBytes: newer?.sizeBytes }]);

  await hub.goDown();
  expect(await load(app, hub, 'org/tiny')).toEqual({ commit: second.commit, fromNetwork: 0, offline: true });
});

test('delete frees the bytes; clear leaves nothing; both say what they did', async ({ app, openHub }) => {
  const hub = await openHub({
    'org/one': { main: { directory: TINY } },
    'org/two': { main: { directory: checkpointFolder('tiny-qwen2') ?? '' } },
  });
  await load(app, hub, 'org/one');
  await load(app, hub, 'org/two');
  const before = await diskBytes(app);
  const [two, one] = await list(app);
  expect(await remove(app, { modelId: 'org/none' })).toEqual({ removed: [], inUse: [], freedBytes: 0 });
  expect(await remove(app, { modelId: 'org/one' })).toMatchObject({ freedBytes: one?.ownBytes, inUse: [] });
  expect(await diskBytes(app)).toBe(before - (one?.ownBytes ?? 0));
  // What they shared (a small file) is now its own.
  expect(await list(app)).toEqual([{ ...two, ownBytes: two?.sizeBytes }]);

  await app.evaluate(() => window.firstlight.loader.cache.pin({ modelId: 'org/two' }, true));
  const cleared = await app.evaluate(() => window.firstlight.loader.cache.clear());
  expect(cleared).toMatchObject({ removed: [{ modelId: 'org/two' }], inUse: [] });
  expect(await diskBytes(app)).toBe(0);
  expect(await list(app)).toEqual([]);
  hub.requests.clear();
  await load(app, hub, 'org/one');
  expect(hub.requests.contentBytes()).toBe(one?.sizeBytes);
});

test('a cancelled download is listed as partial, and the same call fetches only what is missing', async ({
  app,
  openHub,
}) => {
  test.skip(STORYTELLER === '', 'the bundled model is not there');
  const hub = await openHub({ 'org/story': { main: { directory: STORYTELLER } } });
  hub.setThrottle({ bytesPerSecond: 3_000_000 });
  expect(await loadPart(app, hub, 'org/story', 0.4)).toBe('aborted');
  const [partial] = await list(app);
  expect(partial).toMatchObject({ modelId: 'org/story', complete: false });
  const { sizeBytes = 0, totalBytes = 0 } = partial ?? {};
  expect(sizeBytes / totalBytes).toBeGreaterThan(0.3);
  expect(sizeBytes / totalBytes).toBeLessThan(0.95);

  hub.setThrottle({});
  hub.requests.clear();
  const resumed = await load(app, hub, 'org/story');
  const [complete] = await list(app);
  expect(complete).toMatchObject({ complete: true, commit: partial?.commit });
  expect(hub.requests.contentBytes()).toBe((complete?.sizeBytes ?? 0) - sizeBytes);
  expect(resumed.fromNetwork).toBe(hub.requests.contentBytes());
  expect((await verify(app)).damaged).toEqual([]);
});

test('verify finds a turned bit and drops that file; the next load fetches it and nothing else', async ({
  app,
  openHub,
}) => {
  const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
  await load(app, hub, 'org/tiny');
  const [entry] = await list(app);
  expect(await verify(app, { modelId: 'org/tiny' })).toEqual({
    checkedFiles: entry?.files.length,
    checkedBytes: entry?.sizeBytes,
    damaged: [],
  });
  const shard = entry?.files.find(({ path }) => path === CHANGED_SHARD);
  await damage(app, `sha256-${shard?.hash?.hex ?? ''}`, 100_000);

  const outcome = await app.evaluate(async () => {
    const steps: { doneBytes: number; totalBytes: number }[] = [];
    const onProgress = (step: { doneBytes: number; totalBytes: number }): void => void steps.push(step);
    const result = await window.firstlight.loader.cache.verify(undefined, { onProgress });
    return { result, steps };
  });
  expect(outcome.result.damaged).toMatchObject([{ path: CHANGED_SHARD, commit: entry?.commit }]);
  expect(outcome.result.damaged[0]?.reason).toContain('sha256');
  expect(new Set(outcome.steps.map(({ totalBytes }) => totalBytes))).toEqual(new Set([entry?.sizeBytes]));
  const done = outcome.steps.map(({ doneBytes }) => doneBytes);
  expect(done).toEqual(done.toSorted((a, b) => a - b));
  expect(done.at(-1)).toBe(entry?.sizeBytes);
  expect(await diskBytes(app)).toBe((entry?.sizeBytes ?? 0) - (shard?.sizeBytes ?? 0));
  expect(await list(app)).toMatchObject([{ complete: false }]);

  hub.requests.clear();
  await load(app, hub, 'org/tiny');
  expect(hub.requests.contentBytes()).toBe(shard?.sizeBytes);
  expect(hub.requests.contentBytes({ file: CHANGED_SHARD })).toBe(shard?.sizeBytes);
  expect((await verify(app)).damaged).toEqual([]);
});

test('verify can be cancelled; a worker that only tends the cache ends', async ({ app, openHub }) => {
  const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
  await load(app, hub, 'org/tiny');
  // Each worker holds a lock for as long as it lives.
  const { code, heldMeanwhile } = await app.evaluate(async () => {
    const controller = new AbortController();
    let heldMeanwhile = 0;
    const checking = window.firstlight.loader.cache.verify(undefined, {
      signal: controller.signal,
      onProgress: () => {
        void navigator.locks.query().then(({ held = [] }) => {
          heldMeanwhile = Math.max(heldMeanwhile, held.length);
          controller.abort();
        });
      },
    });
    const code = await checking.then(
      () => 'checked',
      (error: unknown) => (window.firstlight.isLoadError(error) ? error.code : String(error)),
    );
    return { code, heldMeanwhile };
  });
  expect(code).toBe('aborted');
  expect(heldMeanwhile).toBeGreaterThan(0);
  const held = (): Promise<number> =>
    app.evaluate(async () => {
      const { held: locks = [] } = await navigator.locks.query();
      return locks.filter(({ name }) => name?.startsWith('firstlight:')).length;
    });
  await expect.poll(held).toBe(0);
});

test('pinned: spared by prune and by eviction, unless prune is told otherwise', async ({ app, openHub }) => {
  const hub = await openHub({
    'org/pinned': { main: { directory: TINY } },
    'org/other': { main: { directory: checkpointFolder('tiny-qwen2') ?? '' } },
    'org/next': { main: { directory: checkpointFolder('tiny-mistral') ?? '' } },
  });
  const names = async (): Promise<string[]> => (await list(app)).map(({ modelId }) => modelId).sort();
  await load(app, hub, 'org/pinned');
  await load(app, hub, 'org/other');
  const pins = await app.evaluate(async () => {
    const { cache } = window.firstlight.loader;
    return [await cache.pin({ modelId: 'org/pinned' }, true), await cache.pin({ modelId: 'org/none' }, true)];
  });
  expect(pins).toEqual([true, false]);

  // Room for a part of the next model only; the least recently used would be the pinned one.
  const session = await limitRoom(app, 640_000);
  await load(app, hub, 'org/next');
  await session.detach();
  expect(await names()).toEqual(['org/next', 'org/pinned']);

  const pruned = await app.evaluate(() => window.firstlight.loader.cache.prune([]));
  expect(pruned).toMatchObject({ removed: [{ modelId: 'org/next' }], inUse: [] });
  expect(pruned.freedBytes).toBeGreaterThan(600_000);
  expect(await names()).toEqual(['org/pinned']);
  expect((await load(app, hub, 'org/pinned')).fromNetwork).toBe(0);
  await load(app, hub, 'org/other');
  const kept = await app.evaluate(() =>
    window.firstlight.loader.cache.prune([{ modelId: 'org/other' }], { includePinned: true }),
  );
  expect(kept).toMatchObject({ removed: [{ modelId: 'org/pinned' }], inUse: [] });
  expect(await names()).toEqual(['org/other']);
});

test('a snapshot that a tab is loading is refused, from another tab too, and loads to its end', async ({
  app,
  openHub,
  context,
}) => {
  const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
  hub.setThrottle({ bytesPerSecond: 250_000 });
  const loading = load(app, hub, 'org/tiny');
  await expect.poll(() => usedSnapshots(app)).toBe(1);
  await expect.poll(async () => (await list(app))[0]?.sizeBytes ?? 0).toBeGreaterThan(0);
  const other = await context.newPage();
  await openApp(other);
  for (const page of [app, other]) {
    const refused = await remove(page, { modelId: 'org/tiny' });
    expect(refused).toMatchObject({ removed: [], inUse: [{ modelId: 'org/tiny' }], freedBytes: 0 });
  }
  const cleared = await other.evaluate(() => window.firstlight.loader.cache.clear());
  expect(cleared).toMatchObject({ removed: [], inUse: [{ modelId: 'org/tiny' }] });
  hub.setThrottle({});
  expect((await loading).commit).toBe(hub.commitOf('org/tiny').sha);
  expect((await verify(app)).damaged).toEqual([]);
  expect(await remove(other, { modelId: 'org/tiny' })).toMatchObject({ removed: [{ modelId: 'org/tiny' }] });
  expect(await diskBytes(app)).toBe(0);
});

test('a slip in a selector deletes nothing', async ({ app, openHub }) => {
  const hub = await openHub({ 'org/tiny': { main: { directory: TINY } } });
  await load(app, hub, 'org/tiny');
  const codes = await app.evaluate(async () => {
    const { loader, isLoadError } = window.firstlight;
    const { cache } = loader;
    const wrong = [
      {},
      null,
      'org/tiny',
      { modelId: '' },
      { modelId: 'org/tiny', commit: '' },
      { modelId: 'org/tiny', endpoint: '' },
    ] as never[];
    const calls = wrong.flatMap((selector) => [
      () => cache.delete(selector),
      () => cache.pin(selector, true),
      () => cache.prune([selector]),
    ]);
    calls.push(() => cache.prune('org/tiny' as never));
    const results: string[] = [];
    for (const call of calls) {
      const code = await call().then(
        () => 'done',
        (error: unknown) => (isLoadError(error) ? error.code : String(error)),
      );
      results.push(code);
    }
    return [...new Set(results)];
  });
  expect(codes).toEqual(['invalid_argument']);
  expect(await list(app)).toHaveLength(1);
});
