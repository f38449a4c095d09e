/**
 * A static folder, whose files have no hashes, changes at equal size while it is loaded: no two versions are ever mixed, and
 * what was looked up is not given for what has come.
 */
import type { Hub } from '../../hub/index.ts';
import { expect, test, type Tab } from './fixture.ts';

const MODEL = 'tests/static';
const WEIGHTS = 'model.safetensors';
const SIZE_BYTES = 2_000_003;

function push(hub: Hub, seed: number): Promise<string> {
  return hub.push(MODEL, 'main', files(seed));
}

function files(seed: number): { files: Record<string, string | { synthetic: { seed: number; sizeBytes: number } }> } {
  return { files: { 'config.json': '{}', [WEIGHTS]: { synthetic: { seed, sizeBytes: SIZE_BYTES } } } };
}

async function open(tab: Tab, hub: Hub): Promise<void> {
  await tab.call('close');
  await tab.call('openStatic', MODEL, `${hub.endpoint}/${MODEL}/resolve/main`);
}

/** What is there now is loaded by the same call, and nothing of the old version stays half-written. */
async function expectNext(tab: Tab, hub: Hub): Promise<void> {
  expect((await tab.call('listFiles')).partial).toBe(0);
  await tab.expectQuiet();
  await open(tab, hub);
  await tab.download([WEIGHTS]);
  await tab.expectOriginals(hub, [WEIGHTS], MODEL);
}

test.beforeEach(async ({ tab, hub }) => {
  await hub.addRepository(MODEL, { main: files(1) });
  await open(tab, hub);
});

test('between looking up and the download: file_changed, nothing is kept', async ({ tab, hub }) => {
  await push(hub, 2);
  const error = await tab.downloadFails('file_changed', [WEIGHTS]);
  expect(error).toMatchObject({ retryable: true, detail: { path: WEIGHTS } });
  expect(error.message).toContain('Load again');
  await expectNext(tab, hub);
});

test('between the header and the rest: file_changed', async ({ tab, hub }) => {
  await tab.call('readRange', WEIGHTS, 0, 1_000);
  await push(hub, 2);
  await tab.downloadFails('file_changed', [WEIGHTS]);
  await expectNext(tab, hub);
});

test('before a small file is read: file_changed', async ({ tab, hub }) => {
  await hub.push(MODEL, 'main', { files: { ...files(1).files, 'config.json': '[]' } });
  expect((await tab.tryCall('readAll', 'config.json')).error).toMatchObject({ code: 'file_changed' });
});

test('half-way: file_changed, whichever of its ranges notices', async ({ tab, hub }) => {
  hub.misbehave({ kinds: ['content'], path: WEIGHTS, fault: { type: 'changed' }, skip: 2, times: Infinity });
  await tab.downloadFails('file_changed', [WEIGHTS]);
  hub.behave();
  await expectNext(tab, hub);
});

test('half-way between two attempts: the part is not completed with another version', async ({ tab, hub }) => {
  hub.setThrottle({ bytesPerSecond: 2_000_000 });
  const running = tab.call('download', [WEIGHTS]);
  await expect.poll(async () => (await tab.call('status', [WEIGHTS]))[0]?.cachedBytes ?? 0).toBeGreaterThan(250_000);
  await tab.call('close');
  await running;
  hub.setThrottle({});
  await push(hub, 2);
  await open(tab, hub);
  expect((await tab.download([WEIGHTS])).summary).toMatchObject({ networkBytes: SIZE_BYTES });
  expect(await tab.call('hashBlob', WEIGHTS)).toBe(hub.commitOf(MODEL).files.get(WEIGHTS)?.sha256);
});
