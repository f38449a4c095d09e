import { describe, expect, it } from 'vitest';
import { STALE_HEADER } from '../../../src/contract/offline.ts';
import { listBundledModels, readBundledModel } from '../../../src/hub/bundled-index.ts';

const BASE = 'https://page.example';
const COMMIT = 'a'.repeat(64);
const INDEX = { models: { 'org/name': { commit: COMMIT, files: [] } } };

const answer = (headers: Record<string, string>) => () => Promise.resolve(Response.json(INDEX, { headers }));

describe('the bundled index from the offline copy of the page', () => {
  const stale = answer({ [STALE_HEADER]: '1' });

  it('is good enough for a list', async () => {
    expect(await listBundledModels(BASE, { fetch: stale })).toEqual([{ modelId: 'org/name', sizeBytes: 0 }]);
  });

  it('counts as no answer for a load, which must say that the network was away', async () => {
    const options = { timeoutMs: 1000, retry: { attempts: 1 } };
    await expect(readBundledModel(BASE, 'org/name', stale, options)).rejects.toMatchObject({
      code: 'network_unreachable',
      retryable: true,
    });
    expect(await readBundledModel(BASE, 'org/name', answer({}), options)).toMatchObject({ commit: COMMIT });
  });
});
