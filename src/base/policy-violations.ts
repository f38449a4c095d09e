/**
 * What a content security policy has forbidden in this realm.
 *
 * A request that a policy blocks fails like one without a network, and a worker like one whose script is not there: only the
 * event `securitypolicyviolation` tells the difference (CSP level 3, https://www.w3.org/TR/CSP3/#report-violation). It may come
 * a moment after the failure.
 */
import { LoadError } from '../contract/errors.ts';

/** One thing that was forbidden. */
export interface PolicyViolation {
  /** As `connect-src`. */
  readonly directive: string;
  /** An address, or a word as `wasm-eval`. */
  readonly blocked: string;
}

/** Few are ever asked for; a page may have many of its own. */
const MAX_KEPT = 50;

const violations: PolicyViolation[] = [];
let watching = false;

/** Watches from now on. Calling it again changes nothing. */
export function watchPolicy(): void {
  if (watching || typeof addEventListener !== 'function') return;
  watching = true;
  addEventListener('securitypolicyviolation', (event: Event) => {
    const { effectiveDirective, blockedURI, disposition } = event as SecurityPolicyViolationEvent;
    if (disposition !== 'enforce') return; // a policy on trial forbids nothing
    violations.push({ directive: effectiveDirective, blocked: blockedURI });
    if (violations.length > MAX_KEPT) violations.shift();
  });
}

/** The latest violation of one of these directives; with an address, by a request to its origin. */
export function findViolation(directives: readonly string[], url?: string): PolicyViolation | null {
  const origin = url === undefined ? null : originOf(url);
  const isMeant = ({ directive, blocked }: PolicyViolation): boolean =>
    directives.includes(directive) && (origin === null || originOf(blocked) === origin);
  return violations.findLast(isMeant) ?? null;
}

/** The error for it; `needed` is what the policy has to allow. */
export function blockedByPolicy({ directive, blocked }: PolicyViolation, needed: string): LoadError {
  const origin = originOf(blocked) ?? blocked; // a whole address may hold a signature
  return new LoadError('blocked_by_policy', {
    message: `It blocks ${origin} by ${directive}. Allow it: ${needed}`,
    detail: { directive, blocked: origin, needed },
  });
}

function originOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).origin : null;
}
