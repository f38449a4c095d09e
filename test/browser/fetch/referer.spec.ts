/**
 * A host that refuses pages by their `Referer`: no request says which page it comes from, whatever it is for.
 */
import type { Hub } from '../../hub/index.ts';
import { expect, MODEL, SHARDS, test } from './fixture.ts';

const STATIC = 'tests/static';

function expectNoReferers(hub: Hub): void {
  expect(hub.requests.entries.length).toBeGreaterThan(0);
  expect(hub.requests.entries.filter(({ referer }) => referer !== null)).toEqual([]);
  expect(hub.requests.entries.filter(({ status }) => status === 403)).toEqual([]);
}

test.beforeEach(async ({ tab, hub }) => {
  hub.refuseReferers();
  // The page's own request, which states nothing, is refused: the test could fail.
  const own = await tab.page.evaluate((url) => fetch(url).then(String, () => 'refused'), `${hub.endpoint}/api/models`);
  expect([own, hub.requests.entries.at(-1)?.status]).toEqual(['refused', 403]);
  hub.requests.clear();
});

test('listing, small files and ranges of a hub', async ({ tab, hub }) => {
  await tab.call('close');
  await tab.call('open', hub.endpoint, MODEL);
  await tab.call('readAll', 'config.json');
  await tab.download();
  await tab.expectOriginals(hub);
  expectNoReferers(hub);
});

test('a token, for which the browser asks first', async ({ tab, hub }) => {
  await hub.addRepository('tests/private', {
    main: { files: { 'config.json': '{}' } },
    private: true,
    tokens: ['hf_x'],
  });
  await tab.call('close');
  await tab.call('open', hub.endpoint, 'tests/private', { token: 'hf_x' });
  await tab.call('readAll', 'config.json');
  expect(hub.requests.find({ kind: 'preflight' }).length).toBeGreaterThan(0);
  expectNoReferers(hub);
});

test('probes and files of a static server', async ({ tab, hub }) => {
  await hub.addRepository(STATIC, {
    main: { files: { 'config.json': '{}', 'model.safetensors': new Uint8Array(100) } },
  });
  await tab.call('close');
  await tab.call('openStatic', STATIC, `${hub.endpoint}/${STATIC}/resolve/main`);
  await tab.download(['model.safetensors']);
  expectNoReferers(hub);
});

test('the question whether a server is there that lets nobody read it', async ({ tab, hub }) => {
  hub.misbehave({ fault: { type: 'noCors' }, times: Infinity });
  const error = await tab.downloadFails('network_unreachable', SHARDS.slice(0, 1));
  expect(error.detail['cors']).toBe(true);
  expect(hub.requests.find({ method: 'HEAD' }).length).toBeGreaterThan(0);
  expectNoReferers(hub);
});
