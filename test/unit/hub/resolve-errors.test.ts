/** Stage 1 against the local hub: one error per cause. */
import { describe, expect, test } from 'vitest';
import { isLoadError } from '../../../src/contract/errors.ts';
import { MemoryRecords } from './records.ts';
import { failure, hub, OTHER_TOKEN, records, resolve, TOKEN, useHub } from './resolve-support.ts';

useHub();

describe('one error per cause', () => {
  test.each(['', 'a/b/c', '../x', 'a/..', 'a b', 'org/-x', 'org/x.', 'a//b', 'https://x/y', 'a/b?c', 'x'.repeat(97)])(
    'invalid_argument: model id %j',
    async (modelId) => {
      const error = await failure(resolve({ modelId }));
      expect([error.code, error.detail['argument']]).toEqual(['invalid_argument', 'modelId']);
      expect(hub.requests.entries).toHaveLength(0);
    },
  );

  test.each(['', 'a..b', 'a b', '/main', 'main/', 'x\u0000', 'a^b', '..'])(
    'invalid_argument: revision %j',
    async (revision) => {
      expect(await failure(resolve({ modelId: 'acme/tiny', revision }))).toMatchObject({
        code: 'invalid_argument',
        detail: { argument: 'revision' },
      });
    },
  );

  test.each(['ftp://x', 'nonsense', 'https://me:hf_pass@hub.example', 'https://hub.example/?a=1'])(
    'invalid_argument: endpoint %s',
    async (endpoint) => {
      const error = await failure(resolve({ modelId: 'acme/tiny' }, { hub: { endpoint } }));
      expect([error.code, error.detail['argument']]).toEqual(['invalid_argument', 'endpoint']);
    },
  );

  test('invalid_argument: a token with a line break, not repeated', async () => {
    const error = await failure(resolve({ modelId: 'acme/tiny' }, { token: 'hf_ab\ncd' }));
    expect([error.code, error.detail['argument']]).toEqual(['invalid_argument', 'token']);
  });

  test('repository_not_found: missing, with and without a token; private without one; disabled', async () => {
    for (const [modelId, token] of [
      ['acme/missing', undefined],
      ['acme/missing', TOKEN],
      ['acme/private', undefined],
      ['acme/other', TOKEN],
      ['acme/disabled', undefined],
    ] as const) {
      const error = await failure(resolve({ modelId }, token === undefined ? {} : { token }));
      expect([modelId, error.code, error.retryable]).toEqual([modelId, 'repository_not_found', false]);
      expect(error.message).toContain(modelId);
    }
  });

  test('repository_gated: without a token, and with one that has no access', async () => {
    for (const token of [undefined, OTHER_TOKEN]) {
      const error = await failure(resolve({ modelId: 'acme/gated' }, token === undefined ? {} : { token }));
      expect(error.code).toBe('repository_gated');
      expect(error.message).toContain(`${hub.endpoint}/acme/gated`);
    }
    expect((await resolve({ modelId: 'acme/gated' }, { token: TOKEN })).files).toHaveLength(3);
    expect((await resolve({ modelId: 'acme/private' }, { token: TOKEN })).files).toHaveLength(3);
  });

  test('repository_gated: a mirror without auth-check lists it; its files will tell', async () => {
    hub.misbehave({ path: 'auth-check', fault: { type: 'status', status: 404, body: 'Not Found' }, times: Infinity });
    expect((await resolve({ modelId: 'acme/gated' })).files).toHaveLength(3);
  });

  test('unauthorized: a token that nobody issued', async () => {
    const error = await failure(resolve({ modelId: 'acme/tiny' }, { token: 'hf_unknown' }));
    expect([error.code, error.detail['status']]).toEqual(['unauthorized', 401]);
  });

  test('revision_not_found, by the header and, where it cannot be read, by the words of the body', async () => {
    const error = await failure(resolve({ modelId: 'acme/tiny', revision: 'nope' }));
    expect([error.code, error.message.includes('"nope"')]).toEqual(['revision_not_found', true]);
    hub.misbehave({ kinds: ['api'], fault: { type: 'json', status: 404, body: { error: 'Invalid rev id: nope' } } });
    expect((await failure(resolve({ modelId: 'acme/tiny', revision: 'nope' }))).code).toBe('revision_not_found');
  });

  test('http_status: 404 words of no hub, 418; not repeated', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 418 } });
    const error = await failure(resolve({ modelId: 'acme/tiny' }));
    expect([error.code, error.retryable, error.detail['status']]).toEqual(['http_status', false, 418]);
    expect(hub.requests.entries).toHaveLength(1);
  });

  test('http_status: 503 is repeated and passes; for good it fails after the last attempt', async () => {
    const rule = hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 503 }, times: 2 });
    const notices: string[] = [];
    await resolve({ modelId: 'acme/tiny' }, { onNotice: (message) => notices.push(message) });
    expect([rule.used, notices.length]).toEqual([2, 2]);
    hub.requests.clear();
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 500 }, times: Infinity });
    const error = await failure(resolve({ modelId: 'acme/tiny' }, { records: new MemoryRecords() }));
    expect([error.code, error.retryable, error.detail['status']]).toEqual(['http_status', true, 500]);
    expect(hub.requests.entries).toHaveLength(4);
  });

  test('http_status: 429 waits as long as Retry-After says, and gives up where that is too long', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, retryAfterSeconds: 1 } });
    const before = performance.now();
    await resolve({ modelId: 'acme/tiny' });
    expect(performance.now() - before).toBeGreaterThan(950);
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, retryAfterSeconds: 3600 } });
    const error = await failure(resolve({ modelId: 'acme/tiny' }, { records: new MemoryRecords() }));
    expect([error.code, error.detail['retryAfterMs']]).toEqual(['http_status', 3_600_000]);
  });

  test('an answer cut in the middle is repeated', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'cut', afterBytes: 20 }, times: 2 });
    expect((await resolve({ modelId: 'acme/tiny' })).files).toHaveLength(3);
  });

  test('listing_invalid: an endpoint that answers with a page', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 200, body: '<!doctype html>' } });
    expect((await failure(resolve({ modelId: 'acme/tiny' }))).code).toBe('listing_invalid');
  });

  test('not_cached: nobody there, nothing known; the cause says what a page can know', async () => {
    const deps = { hub: { endpoint: 'http://127.0.0.1:1' } };
    const error = await failure(resolve({ modelId: 'acme/tiny' }, deps));
    expect([error.code, error.retryable, isLoadError(error.cause) && error.cause.code]).toEqual([
      'not_cached',
      true,
      'network_unreachable',
    ]);
    expect(error.message).toContain('CORS');
  });

  test('aborted: before, during a request, during a wait', async () => {
    expect((await failure(resolve({ modelId: 'acme/tiny' }, { signal: AbortSignal.abort() }))).code).toBe('aborted');
    hub.misbehave({ kinds: ['api'], fault: { type: 'delay', beforeHeadersMs: 60_000 } });
    const started = performance.now();
    expect((await failure(resolve({ modelId: 'acme/tiny' }, { signal: AbortSignal.timeout(50) }))).code).toBe(
      'aborted',
    );
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 503 }, times: Infinity });
    const slow = { retry: { baseDelayMs: 60_000, maxDelayMs: 60_000 }, signal: AbortSignal.timeout(50) };
    expect((await failure(resolve({ modelId: 'acme/tiny' }, slow))).code).toBe('aborted');
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(records.writes).toEqual([]);
  });
});
