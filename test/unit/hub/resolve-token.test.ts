/** Where the token goes in stage 1, and where it must not. */
import { describe, expect, test } from 'vitest';
import { requestHub } from '../../../src/hub/request.ts';
import { hub, records, resolve, TOKEN, useHub } from './resolve-support.ts';

useHub();

describe('the token', () => {
  test('goes to the endpoint only: not to the CDN, not into records, URLs or notices', async () => {
    const notices: string[] = [];
    hub.misbehave({ kinds: ['api'], fault: { type: 'status', status: 503 } });
    const snapshot = await resolve(
      { modelId: 'acme/gated' },
      { token: TOKEN, onNotice: (message) => notices.push(message) },
    );
    for (const file of snapshot.files) {
      await (await fetch(file.url, { headers: { Authorization: `Bearer ${TOKEN}` } })).arrayBuffer();
    }
    expect(hub.requests.find({ server: 'hub', kind: 'api' }).every((entry) => entry.hadAuthorization)).toBe(true);
    const cdn = hub.requests.find({ server: 'cdn' });
    expect(cdn.length).toBeGreaterThan(0);
    expect(cdn.some((entry) => entry.hadAuthorization)).toBe(false);
    expect(hub.requests.entries.some((entry) => entry.url.includes('hf_'))).toBe(false);
    expect(JSON.stringify([snapshot, notices, [...records.refs], [...records.snapshots]])).not.toContain('hf_');
  });

  test('does not accompany a request to another origin, as for a signed address', async () => {
    const access = { endpoint: hub.endpoint, token: TOKEN, fetch };
    const subject = { modelId: 'acme/gated', revision: null, path: null };
    const [file] = (await resolve({ modelId: 'acme/gated' }, { token: TOKEN })).files.slice(-1);
    const signed = (await fetch(file?.url ?? '', { headers: { Authorization: `Bearer ${TOKEN}` }, redirect: 'manual' }))
      .headers;
    hub.requests.clear();
    await (await requestHub(access, signed.get('Location') ?? '', subject)).arrayBuffer();
    await (await requestHub(access, file?.url ?? '', subject, { headers: { Range: 'bytes=0-0' } })).arrayBuffer();
    expect(hub.requests.entries.map((entry) => [entry.server, entry.hadAuthorization])).toEqual([
      ['cdn', false],
      ['hub', true],
      ['cdn', false],
    ]);
    // Node's fetch drops the header on redirects by itself; what is proved here is the first row.
  });

  test("a mirror's links to another host are followed on the mirror", async () => {
    const elsewhere: string[] = [];
    const first = `<https://hub.invalid/api/models/acme/many/tree/x?recursive=true&expand=false&cursor=NA>; rel="next"`;
    const spying = async (url: string, init: RequestInit): Promise<Response> => {
      if (!url.startsWith(hub.endpoint)) elsewhere.push(url);
      const response = await fetch(url, init);
      if (!url.includes('/tree/') || url.includes('cursor')) return response;
      return new Response(response.body, { headers: { Link: first } });
    };
    const snapshot = await resolve({ modelId: 'acme/many' }, { fetch: spying, token: TOKEN });
    expect([snapshot.files.length, elsewhere]).toEqual([25, []]);
  });

  test('fetch is called bare, as a browser demands', async () => {
    const strict = function (this: unknown, url: string, init: RequestInit): Promise<Response> {
      if (this !== undefined) throw new TypeError('Illegal invocation');
      return fetch(url, init);
    };
    expect((await resolve({ modelId: 'acme/tiny' }, { fetch: strict })).files).toHaveLength(3);
  });
});
