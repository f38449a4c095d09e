/** Stage 1 against the local hub: one error per cause. */
import { describe, expect, test } from 'vitest';
import { isLoadError } from '../../../src/contract/errors.ts';
import { MemoryRecords } from './records.ts';
import {
  FINE_GRAINED_TOKEN,
  failure,
  hub,
  OTHER_TOKEN,
  quick,
  records,
  resolve,
  TOKEN,
  useHub,
} from './resolve-support.ts';

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

  test('repository_gated: what the server says is passed on', async () => {
    const error = await failure(resolve({ modelId: 'acme/gated' }, { token: OTHER_TOKEN }));
    expect(error.message).toContain('Access to model acme/gated is restricted and you are not in the authorized list.');
  });

  test('unauthorized: a token without a permission is told what to tick, in the words of the server and of its page', async () => {
    const error = await failure(resolve({ modelId: 'acme/gated' }, { token: FINE_GRAINED_TOKEN }));
    expect(error.code).toBe('unauthorized');
    expect(error.message).toContain(
      'Please enable access to public gated repositories in your fine-grained token settings',
    );
    expect(error.message).toContain('"Read access to contents of all public gated repos you can access"');
    expect(error.message).toContain(`${hub.endpoint}/settings/tokens`);
    expect(error.message).not.toMatch(/ask for/);
  });

  test.each([
    ['control characters', { error: 'one\u0000\u001b[31m\r\ntwo\u202ethree\u200bfour' }, 'one [31m two three four'],
    ['a book', { error: 'x'.repeat(10_000) }, `${'x'.repeat(299)}…`],
    ['a list', { error: ['one', 'two', 'one'] }, 'one two'],
    ['descriptions', { error: 'invalid_grant', error_description: 'It ran out.' }, 'invalid_grant It ran out.'],
    ['messages', { errors: [{ message: 'one' }, { message: 'two' }] }, 'one two'],
    ['no words', { error: { deep: 1 } }, undefined],
  ])('what a server says in %s is one line of bounded length', async (_, body, expected) => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'json', status: 400, body } });
    const error = await failure(resolve({ modelId: 'acme/tiny' }));
    expect([error.code, error.detail['serverMessage']]).toEqual(['http_status', expected]);
    if (expected !== undefined) expect(error.message).toContain(expected);
  });

  test('a page of HTML is no sentence', async () => {
    const body = '<!doctype html><title>502 Bad Gateway</title>';
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 502, body }, times: Infinity });
    const error = await failure(resolve({ modelId: 'acme/tiny' }));
    expect([error.code, error.retryable, error.detail['serverMessage']]).toEqual(['http_status', true, undefined]);
    expect(error.message).not.toContain('<');
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

  test.each([
    ['Retry-After', { 'Retry-After': '1' }, 1_000],
    ['RateLimit', { RateLimit: '"api";r=0;t=1', 'RateLimit-Policy': '"fixed window";"api";q=500;w=300' }, 2_000],
    ['X-RateLimit-Reset', { 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': '1' }, 2_000],
  ])('rate_limited: waits as long as %s says, and says until when', async (_, headers, waitMs) => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, headers } });
    const notices: string[] = [];
    const waits: number[] = [];
    const wait = (delayMs: number): Promise<void> => Promise.resolve(void waits.push(delayMs));
    await resolve(
      { modelId: 'acme/tiny' },
      { onNotice: (message) => notices.push(message), retry: { ...quick, wait } },
    );
    expect(waits).toEqual([waitMs]);
    expect(notices).toEqual([
      expect.stringMatching(/127\.0\.0\.1:\d+ asks to wait until \d\d:\d\d:\d\d: This is a test\.$/),
    ]);
  });

  test('rate_limited: a wait ends with its cancel', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, headers: { RateLimit: '"api";r=0;t=55' } } });
    const stop = new AbortController();
    const resolving = resolve(
      { modelId: 'acme/tiny' },
      { signal: stop.signal, onNotice: () => setTimeout(() => stop.abort(), 10) },
    );
    expect((await failure(resolving)).code).toBe('aborted');
    expect(hub.requests.entries).toHaveLength(1);
  });

  test('rate_limited: who would have to wait for an hour is told when to come back', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, retryAfterSeconds: 3600 } });
    const error = await failure(resolve({ modelId: 'acme/tiny' }));
    expect([error.code, error.retryable, error.detail['retryAfterMs']]).toEqual(['rate_limited', true, 3_600_000]);
    expect(Math.abs(Number(error.detail['retryAtMs']) - Date.now() - 3_600_000)).toBeLessThan(10_000);
    expect(error.message).toMatch(/asks to wait until .*\d\d:\d\d:\d\d/);
    expect(hub.requests.entries).toHaveLength(1);
  });

  test('http_status: a server that is down for an hour says when to come back, too', async () => {
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 503, retryAfterSeconds: 3600 } });
    const error = await failure(resolve({ modelId: 'acme/tiny' }));
    expect([error.code, error.detail['retryAfterMs']]).toEqual(['http_status', 3_600_000]);
    expect(error.message).toMatch(/It asks to wait until .*\d\d:\d\d:\d\d/);
    expect(hub.requests.entries).toHaveLength(1);
  });

  test('rate_limited: with a commit to fall back on, nobody waits', async () => {
    const known = await resolve({ modelId: 'acme/tiny' });
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 429, headers: { RateLimit: '"api";r=0;t=55' } } });
    expect(await resolve({ modelId: 'acme/tiny' })).toMatchObject({ commit: known.commit, offline: true });
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
