/** Stage 1 against hostile listings. */
import { describe, expect, test } from 'vitest';
import { startHub } from '../../hub/index.ts';
import { failure, files, hub, records, resolve, useHub } from './resolve-support.ts';

useHub();

describe('hostile listings', () => {
  const oid = '0'.repeat(40);
  const entry = (path: unknown, more: object = {}) => ({ type: 'file', path, size: 1, oid, ...more });
  test.each([
    ['a parent', entry('../evil.safetensors')],
    ['a parent within', entry('a/../../evil.json')],
    ['a dot', entry('./a.json')],
    ['absolute', entry('/etc/passwd')],
    ['a drive', entry('C:/x.json')],
    ['empty', entry('')],
    ['an empty segment', entry('a//b.json')],
    ['a trailing slash', entry('a/')],
    ['a backslash', entry('a\\..\\b.json')],
    ['NUL', entry('a\u0000b.json')],
    ['a line break', entry('a\nb.json')],
    ['a lone surrogate', entry('a\ud800.json')],
    ['no text', entry(7)],
    ['too long', entry('x'.repeat(2000))],
    ['a submodule', { type: 'submodule', path: 'vendor', oid, size: 0 }],
    ['another type with a needed name', { type: 'symlink', path: 'tokenizer.json', oid, size: 1 }],
    ['no object', 'x'],
    ['null', null],
    ['a picture without a size', entry('x.png', { size: undefined })],
    ['a picture without a hash', entry('x.png', { oid: 'abc' })],
    ['a picture with two sizes', entry('x.png', { lfs: { oid: '0'.repeat(64), size: 2 } })],
    ['a picture twice', entry('a b/ü#?%.txt')],
  ])('an entry that no load needs, or that names nothing, is passed over and never used: %s', async (_, hostile) => {
    await hub.addRepository('acme/hostile', { main: { files }, hostile: { entries: [hostile] } });
    const snapshot = await resolve({ modelId: 'acme/hostile' });
    const listed = snapshot.files.map(({ path, sizeBytes }) => [path, sizeBytes]);
    const own = (await resolve({ modelId: 'acme/tiny' })).files.map(({ path, sizeBytes }) => [path, sizeBytes]);
    expect(listed).toEqual(own);
  });

  test.each([
    ['a duplicate', entry('config.json')],
    ['a negative size', entry('x.safetensors', { size: -1 })],
    ['an unsafe size', entry('x.safetensors', { size: 2 ** 53 })],
    ['a broken size', entry('x.safetensors', { size: 1.5 })],
    ['a size in words', entry('x.json', { size: '1' })],
    ['no hash', entry('x.json', { oid: undefined })],
    ['a short hash', entry('x.jinja', { oid: 'abc' })],
    ['no sha256', entry('x.safetensors', { lfs: { size: 1 } })],
    ['two sizes', entry('x.safetensors', { lfs: { oid: '0'.repeat(64), size: 2 } })],
  ])('an entry that a load may need ends in listing_invalid, which names it: %s', async (_, hostile) => {
    await hub.addRepository('acme/hostile', { main: { files }, hostile: { entries: [hostile] } });
    const error = await failure(resolve({ modelId: 'acme/hostile' }));
    expect([error.code, error.retryable]).toEqual(['listing_invalid', false]);
    // Two folders or files of our own stand before it.
    expect(error.detail['index']).toBe(4);
    expect(records.writes).toEqual([]);
  });

  test('more than 10,000 entries', async () => {
    const entries = Array.from({ length: 10_001 }, (_, index) => entry(`f${index}`));
    const big = await startHub({
      repositories: { 'acme/big': { main: { files }, hostile: { entries } } },
      pageSize: 5000,
    });
    try {
      const error = await failure(resolve({ modelId: 'acme/big' }, { hub: { endpoint: big.endpoint } }));
      expect([error.code, error.detail['index']]).toEqual(['listing_invalid', 10_000]);
    } finally {
      await big.close();
    }
  });

  test.each([[undefined], ['main'], ['../x'], ['A'.repeat(40)], [7]])('a sha that is none: %j', async (sha) => {
    await hub.addRepository('acme/hostile', { main: { files }, hostile: { sha } });
    expect((await failure(resolve({ modelId: 'acme/hostile' }))).code).toBe('listing_invalid');
  });

  test('another commit than the one asked for', async () => {
    const { sha } = hub.commitOf('acme/tiny');
    hub.misbehave({ kinds: ['api'], fault: { type: 'json', body: { sha: '1'.repeat(40) } } });
    expect((await failure(resolve({ modelId: 'acme/tiny', revision: sha }))).code).toBe('listing_invalid');
  });

  test('pages in a circle; a list that is none', async () => {
    const link = `<${hub.endpoint}/x?recursive=true&expand=false>; rel="next"`;
    const page = { type: 'status', status: 200, body: '[]', headers: { Link: link } } as const;
    hub.misbehave({ path: '/tree/', fault: page, times: Infinity });
    expect((await failure(resolve({ modelId: 'acme/tiny' }))).message).toContain('circle');
    hub.behave();
    hub.misbehave({ path: '/tree/', fault: { type: 'json', body: { files: [] } } });
    expect((await failure(resolve({ modelId: 'acme/tiny' }))).code).toBe('listing_invalid');
  });

  test('an answer without end', async () => {
    const body = `[${' '.repeat(17 * 1024 * 1024)}]`;
    hub.misbehave({ path: '/tree/', fault: { type: 'status', status: 200, body } });
    expect((await failure(resolve({ modelId: 'acme/tiny' }))).code).toBe('listing_invalid');
  });

  test('a page that cannot read Link notices that files are missing', async () => {
    const hiding = async (url: string, init: RequestInit): Promise<Response> => {
      const response = await fetch(url, init);
      const headers = new Headers(response.headers);
      headers.delete('Link');
      return new Response(response.body, { status: response.status, headers });
    };
    const error = await failure(resolve({ modelId: 'acme/many' }, { fetch: hiding }));
    expect([error.code, error.detail['reason']]).toEqual(['listing_invalid', 'files are missing']);
  });
});
