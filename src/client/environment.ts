/**
 * The page or worker that this library runs in: whether models can be loaded from here, and what relative addresses mean here.
 *
 * In: the realm's globals, looked at when a call needs them, never earlier: a loader can be made anywhere. Out: typed errors
 * that say what is missing and why. Guarantees: needs neither `document` nor an http(s) address. A realm is judged by what it
 * lacks, not by its kind, so that a shell (an extension, Electron, Tauri, Capacitor) works wherever it gives a page its due.
 */
import { LoadError } from '../contract/errors.ts';

/** A realm's globals, as far as they differ from one to the other. */
interface Realm {
  readonly location?: { readonly href: string; readonly protocol: string; readonly origin: string };
  readonly document?: { readonly baseURI: string };
  readonly isSecureContext?: boolean;
  /** `null`, as text, where the browser gives the page no origin of its own. */
  readonly origin?: string;
  readonly navigator?: { readonly maxTouchPoints?: number };
  readonly Worker?: unknown;
  readonly ServiceWorkerGlobalScope?: unknown;
  readonly SharedWorkerGlobalScope?: unknown;
}

const realm = globalThis as unknown as Realm;

/**
 * Whether the model worker can be started from here, as far as that is known before it is tried.
 * @throws LoadError `insecure_context`, `environment_unsupported`
 */
export function checkEnvironment(): void {
  checkSecure();
  if (typeof realm.Worker === 'function') return;
  const [reason, message] =
    realm.ServiceWorkerGlobalScope !== undefined
      ? ['service_worker', 'A service worker cannot start workers: call this from a page or a dedicated worker.']
      : realm.SharedWorkerGlobalScope !== undefined
        ? [
            'shared_worker',
            'This browser lets a shared worker start no workers: call this from a page or a dedicated worker.',
          ]
        : ['no_workers', 'Models are loaded in a web worker, and there are none here: call this in a browser.'];
  throw new LoadError('environment_unsupported', { message, detail: { reason } });
}

/** @throws LoadError `insecure_context` */
export function checkSecure(): void {
  if (realm.isSecureContext !== false) return; // undefined: no browser, which lacks other things
  const origin = realm.location?.origin ?? 'this address';
  throw new LoadError('insecure_context', {
    message: `Browsers give pages of ${origin} no storage, no locks, no hashing and no GPU. Serve it over https, or open it as http://localhost.`,
    detail: { origin },
  });
}

/** Why the browser would not start a worker's script; null where nothing is known about it. */
export function explainRefusedWorker(cause: unknown): LoadError | null {
  if (realm.location?.protocol === 'file:') {
    const message = 'Browsers start no module workers for pages of file: addresses. Serve the page over http(s).';
    return new LoadError('environment_unsupported', { message, detail: { reason: 'file_page' }, cause });
  }
  if (realm.origin === 'null') {
    const message =
      'This page has no origin of its own (a sandboxed frame, a data: address), so the browser gives it neither workers nor storage. Allow it its origin (sandbox="allow-scripts allow-same-origin").';
    return new LoadError('environment_unsupported', { message, detail: { reason: 'opaque_origin' }, cause });
  }
  return null;
}

/** How many fingers the screen tells apart: 0 for none, and in workers, which are not told. */
export function countTouchPoints(): number {
  return realm.navigator?.maxTouchPoints ?? 0;
}

/** What relative addresses are relative to; undefined where there is no such thing. */
export function baseAddress(): string | undefined {
  return realm.document?.baseURI ?? realm.location?.href;
}

/** `url`, absolute; null where it is no address of files that can be fetched from here. */
export function toFetchable(url: string, base: string | undefined): URL | null {
  const parsed = URL.canParse(url, base) ? new URL(url, base) : null;
  return parsed && (HTTP.includes(parsed.protocol) || isOwnScheme(parsed.protocol)) ? parsed : null;
}

const HTTP = ['http:', 'https:'];

/**
 * `file:` to `about:` have no folders that a page can fetch from. Extensions answer a range request with the part and the
 * status of the whole (Chromium 156: `chrome-extension:`, 200), so that nobody can tell what came: their own files are given as
 * a folder.
 */
const NOT_OF_FOLDERS = /^(?:file|blob|data|about|[\w-]+-extension):$/u;

/** Shells serve their own files by a scheme of their own (`tauri:`, `capacitor:`, `app:`). */
function isOwnScheme(protocol: string): boolean {
  return protocol === realm.location?.protocol && !NOT_OF_FOLDERS.test(protocol);
}
