/**
 * What the tests of stage 1 share: the local hub over real HTTP, records in memory, and ways to ask.
 *
 * Call {@link useHub} at the top of a test file; `hub` and `records` are there from the first test on, `records` anew for each.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { isLoadError, type LoadError, toErrorData } from '../../../src/contract/errors.ts';
import { resolveSnapshot, type ResolveDeps, type ResolveRequest } from '../../../src/pipeline/resolve/resolve.ts';
import { type Hub, startHub } from '../../hub/index.ts';
import { MemoryRecords } from './records.ts';

export const TOKEN = 'hf_secretsecret';
export const FINE_GRAINED_TOKEN = 'hf_finefine';
export const OTHER_TOKEN = 'hf_otherother';
export const files = { 'config.json': '{}', 'model.safetensors': new Uint8Array(100), 'a b/ü#?%.txt': 'x' };
export let hub: Hub;
export let records: MemoryRecords;

export function useHub(): void {
  beforeAll(async () => {
    hub = await startHub({
      repositories: {
        'acme/tiny': { main: { files }, revisions: { 'refs/pr/1': { files: { 'config.json': '{"pr":1}' } } } },
        'acme/gated': {
          main: { files },
          gated: 'manual',
          tokens: [TOKEN],
          tokensWithoutPermission: [FINE_GRAINED_TOKEN],
        },
        'acme/private': { main: { files }, private: true, tokens: [TOKEN] },
        'acme/other': { main: { files }, private: true, tokens: [OTHER_TOKEN] },
        'acme/disabled': { main: { files }, disabled: true },
        'acme/many': {
          main: { files: Object.fromEntries(Array.from({ length: 25 }, (_, n) => [`file-${n}.txt`, `${n}`])) },
        },
        gpt2: { main: { files: {} }, renamedTo: 'acme/tiny' },
      },
      pageSize: 4,
    });
  });
  afterAll(() => hub.close());
  beforeEach(() => {
    records = new MemoryRecords();
  });
  afterEach(() => {
    hub.behave();
    hub.requests.clear();
  });
}

export const quick = { baseDelayMs: 1, maxDelayMs: 2 };
export const resolve = (
  request: Partial<ResolveRequest> & { modelId: string },
  deps: Partial<ResolveDeps> & { token?: string } = {},
) =>
  resolveSnapshot(
    { revision: 'main', offline: false, ...request },
    {
      hub: { endpoint: hub.endpoint, token: deps.token ?? null },
      bundledBaseUrl: null,
      records,
      retry: quick,
      ...deps,
    },
  );
export const failure = async (promise: Promise<unknown>): Promise<LoadError> => {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isLoadError(error)) throw new Error(`expected a LoadError, got ${String(error)}`);
  expect(error.stage).toBe('resolve');
  expect(JSON.stringify(toErrorData(error))).not.toMatch(/hf_\w/);
  return error;
};
