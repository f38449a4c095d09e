/**
 * Offline, or refused by CORS? `fetch` fails alike for both; a request in mode `no-cors` tells them apart as far as a
 * browser can: it succeeds, unreadable, where the server is there and only its CORS headers are missing.
 */
import { send } from '../../base/send.ts';
import { LoadError } from '../../contract/errors.ts';

/** The error with what could be found out about `url`; called once all attempts have failed. */
export async function explainUnreachable(error: LoadError, url: string, signal: AbortSignal): Promise<LoadError> {
  const { origin } = new URL(url);
  const hadAnswer = error.detail['answered'] === true;
  if (hadAnswer || signal.aborted || origin === globalThis.location.origin) return error;
  if (!(await isReachable(url, signal))) return error;
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

async function isReachable(url: string, signal: AbortSignal): Promise<boolean> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]);
    await send(url, { mode: 'no-cors', method: 'HEAD', cache: 'no-store', signal: limit });
    return true;
  } catch {
    return false;
  }
}

const PROBE_TIMEOUT_MS = 5_000;
