/**
 * What the page and its service worker agree on: the messages between them, and what the service worker keeps where.
 *
 * Every message carries a MessagePort as its only transfer; the service worker answers on it, once.
 */

/** What the page asks of a service worker. */
export type OfflineRequest =
  /**
   * To a waiting worker: become the active one, if that disturbs nobody. Answered with {@link TakeOverAnswer}. After
   * `untilMs` (since the epoch) nobody waits for it any more, and it must not happen.
   */
  | { readonly type: 'firstlight:take-over'; readonly untilMs: number }
  /** To the active worker: have the runtime that this browser uses in the cache. Answered with `true` once it is there. */
  | { readonly type: 'firstlight:keep-runtime' };

/**
 * `accepted`: the worker becomes active. `other-tabs`: the app is open elsewhere, in the version before. `busy`: a model
 * worker lives, that is a load or a model.
 */
export type TakeOverAnswer = 'accepted' | 'other-tabs' | 'busy';

/** The cache of the inference runtime, for the service worker with this scope: several apps may share an origin. */
export function runtimeCacheName(scope: string): string {
  return `firstlight-runtime-${scope}`;
}

/** The cache of what is fetched anew whenever the network is there. */
export function freshCacheName(scope: string): string {
  return `firstlight-fresh-${scope}`;
}

/** On answers that come from the cache because the network did not give one. */
export const STALE_HEADER = 'X-Firstlight-Stale';

/** In the address of the service worker's script: do not add the headers of cross-origin isolation. */
export const NO_ISOLATION = 'isolation=off';
