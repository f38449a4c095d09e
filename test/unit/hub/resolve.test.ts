/** Stage 1 against the local hub: commits, files, and what is known without it. */
import { describe, expect, test } from 'vitest';
import { failure, files, hub, records, resolve, useHub } from './resolve-support.ts';

useHub();

describe('snapshots', () => {
  test('a branch is pinned to its commit; files carry size, hash and a URL by commit', async () => {
    const commit = hub.commitOf('acme/tiny');
    const snapshot = await resolve({ modelId: 'acme/tiny' });
    expect(snapshot).toMatchObject({
      modelId: 'acme/tiny',
      source: 'hub',
      endpoint: hub.endpoint,
      revision: 'main',
      commit: commit.sha,
      offline: false,
    });
    expect(snapshot.files.map((file) => file.path)).toEqual(['a b/ü#?%.txt', 'config.json', 'model.safetensors']);
    for (const file of snapshot.files) {
      const served = commit.files.get(file.path);
      const hash = served?.lfs === true ? served.sha256 : served?.oid;
      expect(file.hash).toEqual({ algorithm: served?.lfs === true ? 'sha256' : 'git-sha1', hex: hash });
      expect(file.url).toContain(`/resolve/${commit.sha}/`);
      const bytes = await (await fetch(file.url)).arrayBuffer();
      expect(bytes.byteLength).toBe(file.sizeBytes);
    }
    expect(records.writes).toEqual([`snapshot ${commit.sha}`, 'ref main']);
  });

  test('URLs go on giving the same bytes after the branch moved', async () => {
    await hub.addRepository('acme/moving', { main: { files: { 'config.json': 'old' } } });
    const before = await resolve({ modelId: 'acme/moving' });
    await hub.push('acme/moving', 'main', { files: { 'config.json': 'new' } });
    const after = await resolve({ modelId: 'acme/moving' });
    expect(after.commit).not.toBe(before.commit);
    expect(await (await fetch(before.files[0]?.url ?? '')).text()).toBe('old');
    expect(await (await fetch(after.files[0]?.url ?? '')).text()).toBe('new');
  });

  test('refs with slashes, bare names, trailing slashes of the endpoint', async () => {
    const pr = await resolve({ modelId: 'acme/tiny', revision: 'refs/pr/1' });
    expect(pr.commit).toBe(hub.commitOf('acme/tiny', 'refs/pr/1').sha);
    const alias = await resolve({ modelId: 'gpt2' }, { hub: { endpoint: `${hub.endpoint}//` } });
    expect(alias).toMatchObject({ modelId: 'gpt2', endpoint: hub.endpoint });
    expect(alias.files[0]?.url).toContain('/acme/tiny/resolve/');
  });

  test('pages are followed', async () => {
    const snapshot = await resolve({ modelId: 'acme/many' });
    expect(snapshot.files).toHaveLength(25);
    expect(hub.requests.find({ kind: 'api' })).toHaveLength(1 + 7);
  });

  test('an unmoved branch costs one request, a known commit none', async () => {
    const first = await resolve({ modelId: 'acme/many' });
    hub.requests.clear();
    const second = await resolve({ modelId: 'acme/many' });
    expect(second).toEqual({ ...first, resolvedAtMs: second.resolvedAtMs });
    expect(hub.requests.entries).toHaveLength(1);
    hub.requests.clear();
    const pinned = await resolve({ modelId: 'acme/many', revision: first.commit });
    expect(pinned).toMatchObject({ commit: first.commit, revision: first.commit, files: first.files });
    expect(hub.requests.entries).toHaveLength(0);
  });

  test('a commit that is not known yet is asked for', async () => {
    const commit = hub.commitOf('acme/tiny').sha;
    expect(await resolve({ modelId: 'acme/tiny', revision: commit })).toMatchObject({ commit, revision: commit });
  });
});

describe('offline', () => {
  test('the last known commit of the branch, when the hub is gone, down, or not to be asked', async () => {
    const first = await resolve({ modelId: 'acme/tiny' });
    const expected = { ...first, offline: true };
    const notices: string[] = [];
    await hub.goDown();
    try {
      expect(await resolve({ modelId: 'acme/tiny' }, { onNotice: (text) => notices.push(text) })).toEqual(expected);
    } finally {
      await hub.comeBack();
    }
    expect(notices.at(-1)).toContain(first.commit.slice(0, 12));
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 503 }, times: Infinity });
    expect(await resolve({ modelId: 'acme/tiny' })).toEqual(expected);
    hub.behave();
    // Nobody with the model on disk waits for a busy hub.
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, retryAfterSeconds: 60 } });
    expect(await resolve({ modelId: 'acme/tiny' })).toEqual(expected);
    hub.requests.clear();
    expect(await resolve({ modelId: 'acme/tiny', offline: true })).toEqual(expected);
    expect(hub.requests.entries).toHaveLength(0);
  });

  test('what the hub refuses is not answered from the cache', async () => {
    await hub.addRepository('acme/gone', { main: { files } });
    await resolve({ modelId: 'acme/gone' });
    await hub.addRepository('acme/gone', { main: { files }, private: true });
    expect((await failure(resolve({ modelId: 'acme/gone' }))).code).toBe('repository_not_found');
  });

  test('not_cached: another branch or endpoint was never loaded', async () => {
    await resolve({ modelId: 'acme/tiny' });
    const other = await failure(resolve({ modelId: 'acme/tiny', revision: 'dev', offline: true }));
    expect([other.code, other.retryable]).toEqual(['not_cached', false]);
    const mirror = { hub: { endpoint: 'https://mirror.invalid' } };
    expect((await failure(resolve({ modelId: 'acme/tiny', offline: true }, mirror))).code).toBe('not_cached');
  });
});
