import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLoader } from '../../../src/client/loader.ts';
import { LoadError } from '../../../src/contract/errors.ts';
import type { LoadEvent } from '../../../src/contract/load.ts';
import type { LoadedModel, SourceConfig } from '../../../src/contract/worker-api.ts';
import type { PlanSummary } from '../../../src/contract/load.ts';
import { FakeWorker } from './fake-worker.ts';

const PLAN = { modelId: 'a/b' } as PlanSummary;
const LOADED = { handle: 1, info: {}, report: {} } as LoadedModel;
const EVENT: LoadEvent = { type: 'ready', atMs: 1 };

beforeEach(() => {
  vi.stubGlobal('Worker', FakeWorker);
  FakeWorker.reset({ plan: async () => PLAN, adapter: async () => null, disposeModel: async () => {} });
});
afterEach(() => void vi.unstubAllGlobals());

/** Stubs what a realm has; see src/client/environment.ts. */
function stubRealm(globals: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
}

const failureOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => null,
    (error: unknown) => error,
  );

describe('the life of the worker', () => {
  it('starts with the first call and ends with the last, each time anew', async () => {
    const loader = createLoader();
    expect(FakeWorker.started).toEqual([]);
    await Promise.all([loader.plan('a/b'), loader.adapter()]);
    expect(FakeWorker.started.map(({ terminated }) => terminated)).toEqual([true]);
    await loader.plan('a/b');
    expect(FakeWorker.started.map(({ terminated }) => terminated)).toEqual([true, true]);
  });

  it('is that of its own models: those of one that died hold no other, and end no other', async () => {
    FakeWorker.api = { ...FakeWorker.api, load: async () => LOADED };
    const loader = createLoader();
    const lost = [await loader.load('a/b'), await loader.load('a/b')];
    FakeWorker.started[0]?.fail('it crashed');
    const kept = await loader.load('a/b');
    expect(FakeWorker.started.map(({ terminated }) => terminated)).toEqual([true, false]);
    for (const model of lost) await Promise.all([model.dispose(), model.dispose()]);
    expect(FakeWorker.started[1]?.terminated, 'its model lives').toBe(false);
    await kept.dispose();
    expect(FakeWorker.started[1]?.terminated, 'nobody needs it').toBe(true);
  });

  it('is counted only where it could be started: a refusal keeps nothing alive', async () => {
    const loader = createLoader();
    vi.stubGlobal('Worker', undefined);
    expect(await failureOf(loader.plan('a/b'))).toMatchObject({ code: 'environment_unsupported' });
    vi.stubGlobal('Worker', FakeWorker);
    await loader.plan('a/b');
    expect(FakeWorker.started.map(({ terminated }) => terminated)).toEqual([true]);
  });

  it('ends with dispose, and with it whatever waits', async () => {
    FakeWorker.api = { plan: () => new Promise(() => {}) };
    const loader = createLoader();
    const waiting = failureOf(loader.plan('a/b'));
    await vi.waitFor(() => expect(FakeWorker.started).toHaveLength(1));
    await loader.dispose();
    expect(await waiting).toMatchObject({ code: 'disposed' });
    expect(FakeWorker.started[0]?.terminated).toBe(true);
    expect(await failureOf(loader.plan('a/b'))).toMatchObject({ code: 'disposed' });
    expect(FakeWorker.started).toHaveLength(1);
  });

  it('that ends by itself rejects whatever waits, and the next call gets another one', async () => {
    let isFirst = true;
    FakeWorker.api = { plan: () => (isFirst ? new Promise(() => {}) : Promise.resolve(PLAN)) };
    const loader = createLoader();
    const waiting = [failureOf(loader.plan('a/b')), failureOf(loader.plan('a/b'))];
    await vi.waitFor(() => expect(FakeWorker.started).toHaveLength(1));
    FakeWorker.started[0]?.fail();
    for (const one of waiting) expect(await one).toMatchObject({ code: 'worker_died', retryable: true });
    isFirst = false;
    expect(await loader.plan('a/b')).toEqual(PLAN);
  });
});

describe('the fetch worker', () => {
  it('starts with a call that fetches, is one for all loaders, and ends with the last such call', async () => {
    let finish = (): void => {};
    FakeWorker.api = { ...FakeWorker.api, plan: () => new Promise((resolve) => (finish = () => resolve(PLAN))) };
    const loaders = [createLoader(), createLoader()];
    await loaders[0]?.adapter();
    expect(FakeWorker.fetchers, 'what fetches nothing needs none').toEqual([]);
    const plans: Promise<PlanSummary>[] = [];
    for (const loader of loaders) {
      plans.push(loader.plan('a/b'));
      await vi.waitFor(() => expect(FakeWorker.started).toHaveLength(1 + plans.length));
    }
    expect(FakeWorker.fetchers.map(({ terminated }) => terminated)).toEqual([false]);
    await loaders[0]?.dispose();
    await expect(plans[0]).rejects.toMatchObject({ code: 'disposed' });
    expect(
      FakeWorker.fetchers.map(({ terminated }) => terminated),
      'another loader needs it',
    ).toEqual([false]);
    finish();
    await plans[1];
    await vi.waitFor(() => expect(FakeWorker.fetchers.map(({ terminated }) => terminated)).toEqual([true]));
  });
});

describe('listeners of the page', () => {
  /** A load that delivers an event as the real worker does: it waits until the page has had it. */
  const deliver = async (onEvent: (event: LoadEvent) => unknown): Promise<LoadedModel> => {
    await onEvent(EVENT);
    return LOADED;
  };

  beforeEach(() => {
    FakeWorker.api = { ...FakeWorker.api, load: async (_id, _source, _request, onEvent) => deliver(onEvent) };
  });

  it('cannot hold a load: not by never resolving, nor by throwing, now or later; what they throw is reported', async () => {
    const report = vi.fn();
    vi.stubGlobal('reportError', report);
    const loader = createLoader();
    const error = new Error('the page');
    const listeners: readonly ((event: LoadEvent) => unknown)[] = [
      () => new Promise(() => {}),
      () => Promise.reject(error),
      () => {
        throw error;
      },
    ];
    for (const onProgress of listeners) {
      const heard: LoadEvent[] = [];
      const model = await loader.load('a/b', {
        onProgress: (event) => {
          heard.push(event);
          return onProgress(event);
        },
      });
      expect(heard, 'before the call resolved').toEqual([EVENT]);
      await model.dispose();
    }
    expect(report.mock.calls).toEqual([[error], [error]]);
  });
});

describe('arguments', () => {
  it('that cannot be handed to a worker are refused with a type', async () => {
    const contextTokens = { max: () => 1 } as unknown as number;
    expect(await failureOf(createLoader().plan('a/b', { contextTokens }))).toMatchObject({
      code: 'invalid_argument',
      detail: { reason: 'not_cloneable' },
    });
  });
});

describe('any realm: a loader can be made, and its calls say what is wrong', () => {
  const page = (href: string, more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> => {
    const { protocol, origin } = new URL(href);
    return { location: { href, protocol, origin }, document: { baseURI: href }, isSecureContext: true, ...more };
  };
  const worker = (href: string, more: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> => ({
    ...page(href, more),
    document: undefined,
  });

  const REALMS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ['a page', page('https://example.test/app/')],
    ['an extension', page('chrome-extension://abc/index.html')],
    ['Tauri', page('tauri://localhost/')],
    ['Capacitor', page('capacitor://localhost/index.html')],
    ['Electron', page('app://bundle/index.html')],
    ['a dedicated worker', worker('https://example.test/worker.js')],
    ['a worker from a blob', worker('blob:https://example.test/1234')],
  ];
  for (const [name, globals] of REALMS) {
    it(`${name}: works`, async () => {
      stubRealm(globals);
      expect(await createLoader().plan('a/b')).toEqual(PLAN);
    });
  }

  const REFUSED: readonly (readonly [string, Readonly<Record<string, unknown>>, object])[] = [
    [
      'a page over plain http',
      page('http://192.168.0.7:8080/', { isSecureContext: false }),
      { code: 'insecure_context', detail: { origin: 'http://192.168.0.7:8080' } },
    ],
    [
      'a service worker',
      worker('https://example.test/sw.js', { Worker: undefined, ServiceWorkerGlobalScope: EventTarget }),
      { code: 'environment_unsupported', detail: { reason: 'service_worker' } },
    ],
    [
      'a shared worker without workers of its own',
      worker('https://example.test/shared.js', { Worker: undefined, SharedWorkerGlobalScope: EventTarget }),
      { code: 'environment_unsupported', detail: { reason: 'shared_worker' } },
    ],
    ['no browser', { Worker: undefined }, { code: 'environment_unsupported', detail: { reason: 'no_workers' } }],
  ];
  for (const [name, globals, expected] of REFUSED) {
    it(`${name}: a typed error, at the first call`, async () => {
      stubRealm(globals);
      const loader = createLoader({ hub: { endpoint: 'http://hub.lan:80' } });
      const calls = [() => loader.plan('a/b'), () => loader.load('a/b'), () => loader.cache.list()];
      for (const call of [...calls, () => loader.adapter(), () => loader.bundled()]) {
        const failure = await failureOf(call());
        expect(failure).toMatchObject(expected);
        expect(failure).toBeInstanceOf(LoadError);
      }
      expect(FakeWorker.started).toEqual([]);
    });
  }

  const SILENT: readonly (readonly [string, Readonly<Record<string, unknown>>, object])[] = [
    ['a file: page', page('file:///home/me/app.html', { origin: 'null' }), { detail: { reason: 'file_page' } }],
    ['a sandboxed frame', page('https://example.test/', { origin: 'null' }), { detail: { reason: 'opaque_origin' } }],
    ['a script of another origin', page('https://example.test/'), { detail: { reason: 'worker_refused' } }],
  ];
  for (const [name, globals, expected] of SILENT) {
    it(`${name}: where the browser refuses to start a worker, it is said why`, async () => {
      stubRealm({
        ...globals,
        Worker: function () {
          throw new DOMException('no', 'SecurityError');
        },
      });
      expect(await failureOf(createLoader().plan('a/b'))).toMatchObject({
        code: 'environment_unsupported',
        ...expected,
      });
    });
  }

  it('a shell that lets file: pages start workers is not stopped', async () => {
    stubRealm(page('file:///opt/app/index.html', { origin: 'null' }));
    expect(await createLoader().plan('a/b')).toEqual(PLAN);
  });

  it('addresses: of a hub absolute; of models relative to where the loader was made', async () => {
    const sources: SourceConfig[] = [];
    FakeWorker.api = {
      plan: async (_id, source) => {
        sources.push(source);
        return PLAN;
      },
    };
    stubRealm(page('https://example.test/app/index.html'));
    await createLoader().plan('a/b');
    await createLoader({ bundledBaseUrl: './' }).plan('a/b');
    stubRealm(page('tauri://localhost/app/index.html'));
    await createLoader({ bundledBaseUrl: './', hub: { endpoint: 'http://localhost:8000/' } }).plan('a/b');
    expect(sources.map(({ endpoint, bundledBaseUrl }) => [endpoint, bundledBaseUrl])).toEqual([
      ['https://huggingface.co', null],
      ['https://huggingface.co', 'https://example.test/app'],
      ['http://localhost:8000', 'tauri://localhost/app'],
    ]);
    for (const endpoint of ['/hub', 'hub.lan', '', 'ftp://hub.lan', 'tauri://localhost/hub']) {
      expect(() => createLoader({ hub: { endpoint } }), endpoint).toThrow(
        expect.objectContaining({ code: 'invalid_argument', detail: { argument: 'hub.endpoint' } }) as Error,
      );
    }
    for (const href of ['file:///home/me/app.html', 'chrome-extension://abc/index.html', 'blob:https://a.test/1']) {
      stubRealm(page(href));
      expect(() => createLoader({ bundledBaseUrl: './' }), href).toThrow(
        /bundledBaseUrl must be an http\(s\) address/u,
      );
    }
  });
});
