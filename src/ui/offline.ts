/**
 * The page's end of the service worker: registers it, learns what is kept, lets a new version take over.
 *
 * Guarantees: nothing here throws or waits without bound, and nothing in the page depends on it: where there are no
 * service workers (an insecure origin, private windows of some browsers, development) the page works as without them.
 * The page is reloaded only where nothing is lost: before it is mounted, or while no model worker lives; and at a press.
 */
import { NO_ISOLATION, runtimeCacheName } from '../contract/offline.ts';
import type { OfflineRequest, TakeOverAnswer } from '../contract/offline.ts';
import { MODEL_WORKER_PREFIX } from '../contract/worker-api.ts';

/** What works without a network: nothing, the page, or the page and models that were loaded before. */
export type OfflineReach = 'none' | 'page' | 'models';

/** What {@link keepOffline} tells. */
export interface OfflineEvents {
  /** Called at once and whenever it may have changed. */
  readonly onReach: (reach: OfflineReach) => void;
  /** A new version is installed and waits. */
  readonly onUpdate: () => void;
}

const SCRIPT = './service-worker.js';
/** `<meta name="firstlight-isolation" content="off">` in the page keeps the service worker from adding headers. */
const ISOLATION_SWITCH = 'meta[name="firstlight-isolation"][content="off"]';
const TRIED_ISOLATION = 'firstlight.isolation-tried';
const ANSWER_TIMEOUT_MS = 4_000;
const ANSWER_MARGIN_MS = 500;
const KEEP_TIMEOUT_MS = 120_000;
const CHANGE_TIMEOUT_MS = 8_000;
const IDLE_TIMEOUT_MS = 10_000;
const LOOK_FOR_UPDATE_EVERY_MS = 60 * 60 * 1000;

/**
 * Lets the version that waits since an earlier visit take over, if this is the only page; resolves with true when the
 * page is about to be loaded anew. To be called before anything else happens on the page.
 */
export async function takeOverBeforeStart(): Promise<boolean> {
  try {
    if (!findContainer()?.controller) return false;
    return (await requestTakeOver()) === 'accepted';
  } catch {
    return false;
  }
}

/**
 * Asks the waiting version to take over, and loads the page anew once it has. `none`: there is no waiting version, or
 * it does not answer.
 */
export async function requestTakeOver(): Promise<TakeOverAnswer | 'none'> {
  const container = findContainer();
  const waiting = (await container?.getRegistration())?.waiting;
  if (!container || !waiting) return 'none';
  const changed = new Promise<boolean>((resolve) => {
    container.addEventListener('controllerchange', () => resolve(true), { once: true });
    waiting.addEventListener('statechange', () => waiting.state === 'redundant' && resolve(false));
  });
  const request = { type: 'firstlight:take-over', untilMs: Date.now() + ANSWER_TIMEOUT_MS } as const;
  const answer = await ask<TakeOverAnswer>(waiting, request, ANSWER_TIMEOUT_MS + ANSWER_MARGIN_MS);
  if (answer !== 'accepted') return answer ?? 'none';
  if (!(await within(changed, CHANGE_TIMEOUT_MS))) return 'none';
  location.reload();
  return 'accepted';
}

/** Registers the service worker of the built app. */
export async function keepOffline({ onReach, onUpdate }: OfflineEvents): Promise<void> {
  try {
    const container = findContainer();
    if (!container || !import.meta.env.PROD) return;
    const isolate = document.querySelector(ISOLATION_SWITCH) === null;
    const registration = await container.register(isolate ? SCRIPT : `${SCRIPT}?${NO_ISOLATION}`);
    watchForUpdates(registration, container, onUpdate);
    await container.ready;
    onReach(await measureReach());
    if (isolate) await reloadForIsolation(container);
  } catch (error) {
    console.info('This page will not work offline:', error);
  }
}

/** To be called once a model is loaded: sees to it that the runtime is kept too, and tells what works offline then. */
export async function keepRuntime(): Promise<OfflineReach> {
  try {
    const worker = findContainer()?.controller;
    if (worker) await ask(worker, { type: 'firstlight:keep-runtime' }, KEEP_TIMEOUT_MS);
    return await measureReach();
  } catch {
    return 'none';
  }
}

async function measureReach(): Promise<OfflineReach> {
  const registration = await findContainer()?.getRegistration();
  if (!registration?.active) return 'none';
  const kept = await (await caches.open(runtimeCacheName(registration.scope))).keys();
  return kept.some(({ url }) => url.endsWith('.wasm')) ? 'models' : 'page';
}

function watchForUpdates(
  registration: ServiceWorkerRegistration,
  container: ServiceWorkerContainer,
  onUpdate: () => void,
): void {
  const tell = (): void => {
    // The first version that is ever installed replaces nothing.
    if (registration.waiting && container.controller) onUpdate();
  };
  tell();
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', tell);
  });
  // A take-over that came after this page had stopped waiting for it: the old version's files are gone.
  let controlled = container.controller !== null;
  container.addEventListener('controllerchange', () => {
    if (controlled) void reloadIfIdle(onUpdate);
    controlled = true;
  });
  // A tab that is left open for days makes no navigation, at which the browser would look by itself.
  let lookedAtMs = performance.now();
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState !== 'visible' || performance.now() - lookedAtMs < LOOK_FOR_UPDATE_EVERY_MS) return;
    lookedAtMs = performance.now();
    registration.update().catch(() => {}); // offline: nothing new then
  });
}

/**
 * On a host that sends no isolation headers, the first visit comes without the service worker that adds them. Once in a
 * tab's life, and only while nobody has touched the page and no model worker lives, the page is loaded anew through it.
 */
async function reloadForIsolation(container: ServiceWorkerContainer): Promise<void> {
  if (crossOriginIsolated || window.top !== window || sessionStorage.getItem(TRIED_ISOLATION) !== null) return;
  const deadlineMs = performance.now() + IDLE_TIMEOUT_MS;
  while (!container.controller || (await isModelAlive())) {
    if (performance.now() > deadlineMs) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (navigator.userActivation.hasBeenActive) return;
  sessionStorage.setItem(TRIED_ISOLATION, '1'); // first: where it cannot be kept, there is no reload
  location.reload();
}

async function reloadIfIdle(otherwise: () => void): Promise<void> {
  if (await isModelAlive()) otherwise();
  else location.reload();
}

async function isModelAlive(): Promise<boolean> {
  const { held = [] } = await navigator.locks.query();
  return held.some(({ name }) => name?.startsWith(MODEL_WORKER_PREFIX));
}

/** Undefined where the browser has no service workers, or not for this page. */
function findContainer(): ServiceWorkerContainer | undefined {
  return (navigator as { serviceWorker?: ServiceWorkerContainer }).serviceWorker;
}

/** The worker's answer; null where none comes in time. */
function ask<T>(worker: ServiceWorker, request: OfflineRequest, timeoutMs: number): Promise<T | null> {
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise<T>((resolve) => {
    port1.onmessage = ({ data }) => resolve(data as T);
  });
  worker.postMessage(request, [port2]);
  return within(answer, timeoutMs).finally(() => port1.close());
}

function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(null), timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
