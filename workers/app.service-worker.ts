/**
 * The app's service worker: the page, its scripts, and the runtime work without a network.
 *
 * - The page and its scripts are kept at installation and answered from there (Workbox's precache).
 * - The inference runtime's binary is large and comes in two flavours, of which a browser uses one: it is kept at its first
 *   use.
 * - `models/index.json` comes from the network, and from the cache where there is none.
 * - Everything else passes untouched: model files (they have a cache of their own, and ask for ranges) and all other origins.
 *
 * Guarantees: a page and its scripts are of one build, always. A new build waits until no page of the old one is
 * open, or until the only page that is open asks for it and holds no model; then what only the old build had is deleted.
 */
import { addPlugins, precacheAndRoute } from 'workbox-precaching';
import { registerRoute } from 'workbox-routing';
import { CacheFirst, NetworkFirst } from 'workbox-strategies';
import { freshCacheName, NO_ISOLATION, runtimeCacheName, STALE_HEADER } from '../src/contract/offline.ts';
import type { OfflineRequest, TakeOverAnswer } from '../src/contract/offline.ts';
import { MODEL_WORKER_PREFIX } from '../src/contract/worker-api.ts';

declare const self: ServiceWorkerGlobalScope;

/** Written by scripts/service-worker-plugin.ts. Addresses relative to this script. */
declare const __KEPT_AT_INSTALLATION__: { url: string; revision: string | null; integrity?: string }[];
/** Likewise: the runtime's binaries. */
declare const __KEPT_AT_FIRST_USE__: { url: string; flavour: 'jspi' | 'asyncify' }[];

const { scope } = self.registration;
const runtimeCache = runtimeCacheName(scope);
const freshCache = freshCacheName(scope);
const modelIndex = new URL('models/index.json', scope).href;
const runtimeFiles = __KEPT_AT_FIRST_USE__.map((file) => ({ ...file, url: new URL(file.url, scope).href }));

/** How long a waiting worker waits for the model worker that the page has just ended. */
const LOCKS_PATIENCE_MS = 2_000;
const FRESH_TIMEOUT_SECONDS = 4;
const EMBEDDER_POLICY = 'Cross-Origin-Embedder-Policy';

/** A cache that fails (a full or damaged disk) must not take from the page what the network still gives. */
const orNetwork = {
  // An installation that lacks a file has to fail instead.
  handlerDidError: async ({ request, event }: { request: Request; event: ExtendableEvent }) =>
    event.type === 'fetch' ? fetch(request) : undefined,
};
const isolate = { handlerWillRespond: async ({ response }: { response: Response }) => addIsolation(response) };

addPlugins([isolate, orNetwork]);
// The page's own parameters (`?model=…`) choose nothing that a server would answer differently.
precacheAndRoute(__KEPT_AT_INSTALLATION__, { ignoreURLParametersMatching: [/./u], cleanURLs: false });

registerRoute(
  ({ url }) => runtimeFiles.some((file) => file.url === url.href),
  new CacheFirst({
    cacheName: runtimeCache,
    plugins: [isolate, orNetwork, { cacheWillUpdate: async (it) => refusePage(it) }],
  }),
);
registerRoute(
  ({ url }) => url.href === modelIndex,
  new NetworkFirst({
    cacheName: freshCache,
    networkTimeoutSeconds: FRESH_TIMEOUT_SECONDS,
    plugins: [
      orNetwork,
      { cacheWillUpdate: async (it) => refusePage(it) },
      { cachedResponseWillBeUsed: async ({ cachedResponse }) => cachedResponse && markStale(cachedResponse) },
    ],
  }),
);

self.addEventListener('install', (event) => event.waitUntil(Promise.all([renewRuntime(), keepModelIndex()])));
self.addEventListener('activate', (event) => {
  // At the first visit the page is there before its service worker: what it loads from now on should be kept too.
  event.waitUntil(Promise.all([dropOldRuntime(), self.clients.claim()]));
});
self.addEventListener('message', (event) => {
  const request = event.data as OfflineRequest;
  const answer = request.type === 'firstlight:take-over' ? takeOver(request.untilMs) : keepRuntime();
  event.waitUntil(answer.then((value) => event.ports[0]?.postMessage(value)));
});

/** See {@link OfflineRequest}. */
async function takeOver(untilMs: number): Promise<TakeOverAnswer> {
  const windows = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
  if (windows.filter(({ url }) => url.startsWith(scope)).length > 1) return 'other-tabs';
  if ((await isModelAlive()) || Date.now() > untilMs) return 'busy';
  await self.skipWaiting();
  return 'accepted';
}

/** A model worker holds a lock for as long as it lives; a page ends it with the last load or model. */
async function isModelAlive(): Promise<boolean> {
  const deadline = performance.now() + LOCKS_PATIENCE_MS;
  for (;;) {
    const { held = [] } = await navigator.locks.query();
    if (!held.some(({ name }) => name?.startsWith(MODEL_WORKER_PREFIX))) return false;
    if (performance.now() > deadline) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/**
 * For a worker that loaded the runtime before this service worker was there to see it. The browser's own cache still has
 * those bytes, as a rule.
 */
async function keepRuntime(): Promise<true> {
  const used = 'Suspending' in WebAssembly ? 'jspi' : 'asyncify'; // as src/runtime/ort/onnxruntime.ts chooses
  await keep(runtimeFiles.filter(({ flavour }) => flavour === used).map(({ url }) => url));
  return true;
}

/** A machine that worked offline still does after an update: the runtime that it keeps, in its new version. */
async function renewRuntime(): Promise<void> {
  const kept = await (await caches.open(runtimeCache)).keys();
  const names = kept.map(({ url }) => withoutHash(url));
  const wanted = runtimeFiles.filter(
    ({ url }) => names.includes(withoutHash(url)) && !kept.some((old) => old.url === url),
  );
  await keep(wanted.map(({ url }) => url)).catch(() => {}); // the next use of the runtime will keep it
}

/** At the first visit the page asks for it before its service worker is there. A page may bundle no models. */
async function keepModelIndex(): Promise<void> {
  try {
    const response = refusePage({ response: await fetch(modelIndex) });
    if (response) await (await caches.open(freshCache)).put(modelIndex, response);
  } catch {
    // The next visit keeps it.
  }
}

/** `…/name-hash.ext` → `…/name.ext`; the build's hashes have 8 characters. */
function withoutHash(url: string): string {
  return url.replace(/-[\w-]{8}(?=\.\w+$)/u, '');
}

async function keep(urls: readonly string[]): Promise<void> {
  const cache = await caches.open(runtimeCache);
  for (const url of urls) {
    if (await cache.match(url)) continue;
    const response = refusePage({ response: await fetch(url, { cache: 'force-cache' }) });
    if (!response) throw new Error(`${url} was not answered`);
    await cache.put(url, response);
  }
}

async function dropOldRuntime(): Promise<void> {
  const cache = await caches.open(runtimeCache);
  const old = (await cache.keys()).filter(({ url }) => !runtimeFiles.some((file) => file.url === url));
  await Promise.all(old.map((request) => cache.delete(request)));
}

/** Servers of single-page apps answer 200 with the page for a file that is gone: that must not be kept as the file. */
function refusePage({ response }: { response: Response }): Response | null {
  const isPage = response.headers.get('Content-Type')?.includes('text/html') ?? false;
  return response.status === 200 && !isPage ? response : null;
}

/** Lets a reader tell an old answer from a fresh one. */
function markStale(response: Response): Response {
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  headers.set(STALE_HEADER, '1');
  return new Response(response.body, { status, statusText, headers });
}

/**
 * The headers that give the page SharedArrayBuffer, and with it threads, where the host could not be told to send them.
 * The page's own document needs both, its workers' scripts the second.
 */
function addIsolation(response: Response): Response {
  if (self.location.search.includes(NO_ISOLATION) || response.headers.has(EMBEDDER_POLICY)) return response;
  const { status, statusText } = response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set(EMBEDDER_POLICY, 'require-corp');
  return new Response(response.body, { status, statusText, headers });
}
