/**
 * When a server that refuses for the moment wants to be asked again. Pure.
 *
 * In: the headers of its answer. Out: a wait in ms, null where it names none. Guarantees: nothing but a number of seconds
 * or a date is believed; where two headers disagree, the later time counts, so that nobody comes back too early.
 *
 * Four ways to say it are in use:
 * - `Retry-After` (RFC 9110, 10.2.3): seconds or a date.
 * - `RateLimit` as a list of items, one a quota, `"api";r=0;t=55` (draft-ietf-httpapi-ratelimit-headers-08 and later; the
 *   hub): `r` requests are left for the next `t` seconds. It comes with successes, too, so only a quota with nothing left
 *   is why a request was refused.
 * - `RateLimit` as a dictionary, `limit=100, remaining=0, reset=50` (draft 07).
 * - `RateLimit-Reset` (draft 06 and before) and `X-RateLimit-Reset`: seconds, or a date in Unix time (GitHub's way).
 *
 * A page reads only those that the server exposes to it (`Access-Control-Expose-Headers`).
 */

/** The wait that an answer with this status asks for, ms. `nowMs`: Unix time of this device. */
export function readReturnMs(status: number, headers: Headers, nowMs: number): number | null {
  const waits = [parseRetryAfterMs(headers.get('Retry-After'), readServerTimeMs(headers, nowMs))];
  if (status === 429) {
    waits.push(parseRateLimitMs(headers.get('RateLimit')));
    waits.push(readResetMs(headers, 'RateLimit', nowMs), readResetMs(headers, 'X-RateLimit', nowMs));
  }
  const known = waits.filter((wait) => wait !== null);
  return known.length === 0 ? null : Math.max(...known);
}

/** `Retry-After` in ms: seconds or an HTTP date; null where it says nothing usable. `nowMs`: the server's time. */
export function parseRetryAfterMs(value: string | null, nowMs: number): number | null {
  if (value === null) return null;
  const seconds = parseSeconds(value);
  if (seconds !== null) return seconds * 1000;
  const dateMs = Date.parse(value);
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - nowMs);
}

/** `RateLimit` in ms, until the last of the quotas that are spent is renewed; null where none is spent. */
export function parseRateLimitMs(value: string | null): number | null {
  if (value === null) return null;
  const waits = [];
  for (const [item] of value.matchAll(QUOTA)) {
    if (readParameter(item, 'r') === 0) waits.push(readParameter(item, 't'));
  }
  if (/(?:^|,)\s*remaining\s*=\s*0\s*(?:,|$)/.test(value)) waits.push(readParameter(`,${value}`, 'reset'));
  const seconds = waits.filter((wait) => wait !== null);
  return seconds.length === 0 ? null : toRenewalMs(Math.max(...seconds));
}

/** A structured field's string or token with its parameters (RFC 9651, 3.1); parameters come in any order. */
const QUOTA =
  /(?:"(?:[^"\\]|\\.)*"|[A-Za-z*][^\s",;=]*)(?:\s*;\s*[a-z*][\w.*-]*(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",;]+))?)+/g;

/** An integer parameter of an item, or a key of a dictionary. */
function readParameter(item: string, name: string): number | null {
  const match = new RegExp(`[;,]\\s*${name}\\s*=\\s*([^\\s;,]+)`).exec(item);
  return match?.[1] === undefined ? null : parseSeconds(match[1]);
}

/** The older headers, one value each: `RateLimit-Reset`, `X-RateLimit-Reset`. */
function readResetMs(headers: Headers, prefix: string, nowMs: number): number | null {
  const remaining = headers.get(`${prefix}-Remaining`);
  const reset = parseSeconds(headers.get(`${prefix}-Reset`) ?? '');
  if (reset === null || (remaining !== null && parseSeconds(remaining) !== 0)) return null;
  if (reset < SMALLEST_DATE_SECONDS) return toRenewalMs(reset);
  return Math.max(0, toRenewalMs(reset - readServerTimeMs(headers, nowMs) / 1000));
}

/** What counts down in whole seconds has up to one more to go. */
function toRenewalMs(seconds: number): number {
  return (seconds + 1) * 1000;
}

/** The server's own clock, where it shows it: a date of its own is meant by that one. */
function readServerTimeMs(headers: Headers, nowMs: number): number {
  const dateMs = Date.parse(headers.get('Date') ?? '');
  return Number.isNaN(dateMs) ? nowMs : dateMs;
}

function parseSeconds(value: string): number | null {
  return /^\s*\d{1,10}\s*$/.test(value) ? Number(value) : null;
}

/** Thirty years: no server asks for such a wait, so a larger number is a date. */
const SMALLEST_DATE_SECONDS = 1e9;
