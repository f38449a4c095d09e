/**
 * What a person is told while a request waits to be repeated.
 */
import { isLoadError } from '../contract/errors.ts';
import { formatClock } from './clock.ts';

/** The reason, and when it goes on: as a time of day where that is longer than a glance. */
export function describeRetry({ error, delayMs }: { readonly error: unknown; readonly delayMs: number }): string {
  const reason = error instanceof Error ? error.message : String(error);
  // The server's own time is in the message already.
  if (isLoadError(error) && error.detail['retryAfterMs'] !== undefined) return reason;
  if (delayMs < AT_A_GLANCE_MS) return `${reason} Trying again in ${(delayMs / 1000).toFixed(1)} s.`;
  return `${reason} Trying again at ${formatClock(Date.now() + delayMs)}.`;
}

const AT_A_GLANCE_MS = 5_000;
