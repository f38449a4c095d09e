/**
 * Offline, or refused by CORS? `fetch` fails alike for both; a request in mode `no-cors` tells them apart as far as a
 * browser can: it succeeds, unreadable, where the server is there and only its CORS headers are missing.
 */
import { LoadError } from '../../contract/errors.ts';

/** The error with what could be found out; called once all attempts have failed. */
export async function explainUnreachable(error: LoadError, signal: AbortSignal): Promise<LoadError> {
  const { origin } = error.detail;
  if (typeof origin !== 'string' || signal.aborted || origin === globalThis.location.origin) return error;
  const reachable = await isReachable(origin, signal);
  if (!reachable) return error;
  return new LoadError('network_unreachable', {
    message:
      `${origin} can be reached, but does not let this page read its answers: it sends no CORS headers ` +
      `(Access-Control-Allow-Origin) for ${globalThis.location.origin}.`,
    stage: error.stage,
    retryable: false,
    detail: { ...error.detail, cors: true },
    cause: error,
  });
}

async function isReachable(origin: string, signal: AbortSignal): Promise<boolean> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]);
    await fetch(origin, { mode: 'no-cors', method: 'HEAD', cache: 'no-store', signal: limit, credentials: 'omit' });
    return true;
  } catch {
    return false;
  }
}

const PROBE_TIMEOUT_MS = 5_000;
