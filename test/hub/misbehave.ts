/**
 * Misbehaviour on command. In: rules of a test (which requests, how often, what goes wrong). Out: the fault that a request
 * meets, if any. The first rule that matches and has requests left is used; one fault a request.
 */
import { makeRandom } from './content.ts';
import type { LoggedRequest, RequestKind } from './request-log.ts';

/** What goes wrong. Offsets count bytes of the answer's body unless they say otherwise. */
export type Fault =
  /** The connection ends after so many body bytes; with `reset` it is torn down (RST) instead of closed. */
  | { readonly type: 'cut'; readonly afterBytes: number; readonly reset?: boolean }
  /** The same at a random byte of each answer's body. */
  | { readonly type: 'cutRandom'; readonly seed: number; readonly reset?: boolean }
  /** Silence after so many body bytes: for `forMs`, or until the client goes away. */
  | { readonly type: 'stall'; readonly afterBytes: number; readonly forMs?: number }
  /** An error instead of the answer. */
  | {
      readonly type: 'status';
      readonly status: number;
      readonly retryAfterSeconds?: number;
      readonly headers?: Readonly<Record<string, string>>;
      /** Pages may read these headers too. Default false: the hub does not expose them. */
      readonly exposed?: boolean;
      readonly body?: string;
    }
  /** 200 and the whole body where a range was asked. */
  | { readonly type: 'wholeBody' }
  /** 206 whose Content-Range is `value`, or is off by `shiftBytes`; the bytes are the right ones. */
  | { readonly type: 'contentRange'; readonly value?: string; readonly shiftBytes?: number }
  /** Content-Length (and the body) longer or shorter by so many bytes than it should be; what is added is zeros. */
  | { readonly type: 'length'; readonly deltaBytes: number }
  /** One bit of the file is wrong, wherever it is served. Offset in the file. */
  | { readonly type: 'flipBit'; readonly fileOffset: number; readonly bit?: number }
  /** The content has changed: another ETag, every byte inverted. `If-Range` with the old ETag yields 200. */
  | { readonly type: 'changed' }
  /**
   * Signed addresses issued so far for this file stop working (403): only resolving again helps. Without `cors` the answer
   * carries no CORS headers, as from a CDN that adds them to its successes only: a page sees a network error.
   */
  | { readonly type: 'expired'; readonly cors?: boolean }
  /** `Content-Encoding: gzip`, which nobody asked for; ranges are ignored. */
  | { readonly type: 'gzip' }
  /** No CORS headers. */
  | { readonly type: 'noCors' }
  /** CORS allows the answer but exposes none of its headers. */
  | { readonly type: 'hiddenHeaders' }
  /** Silence before the headers. */
  | { readonly type: 'delay'; readonly beforeHeadersMs: number }
  /** The connection is torn down before any answer. */
  | { readonly type: 'drop' }
  /** Another JSON instead of the answer (hostile listings). */
  | { readonly type: 'json'; readonly body: unknown; readonly status?: number };

/** Which requests meet a fault. */
export interface FaultRule {
  readonly fault: Fault;
  /** Against `/path?query` and against `org/name/file`. Default: any. */
  readonly path?: RegExp | string;
  readonly kinds?: readonly RequestKind[];
  readonly server?: 'hub' | 'cdn';
  readonly method?: string;
  /** So many matching requests pass first. Default 0. */
  readonly skip?: number;
  /** So many then meet the fault. Default 1; Infinity for all. */
  readonly times?: number;
}

/** A rule at work. */
export interface ActiveRule {
  /** How many requests have met it. */
  readonly used: number;
  cancel(): void;
}

/** Faults of a body make no sense on a redirect, so they wait for a request that has one. */
const NEEDS_BODY = new Set<Fault['type']>([
  'cut',
  'cutRandom',
  'stall',
  'wholeBody',
  'contentRange',
  'length',
  'flipBit',
  'changed',
  'gzip',
  'expired',
]);

/** The rules of a hub. */
export class Misbehaviour {
  readonly #rules: Rule[] = [];

  add(rule: FaultRule): ActiveRule {
    const active = new Rule(rule, () => this.#rules.splice(this.#rules.indexOf(active), 1));
    this.#rules.push(active);
    return active;
  }

  clear(): void {
    this.#rules.length = 0;
  }

  /** The fault of this request; counts it. */
  take(request: LoggedRequest): Fault | null {
    for (const rule of this.#rules) {
      const fault = rule.take(request);
      if (fault !== null) return fault;
    }
    return null;
  }
}

class Rule implements ActiveRule {
  readonly #rule: FaultRule;
  readonly #remove: () => void;
  readonly #random: () => number;
  #seen = 0;
  used = 0;

  constructor(rule: FaultRule, remove: () => void) {
    this.#rule = rule;
    this.#remove = remove;
    this.#random = makeRandom(rule.fault.type === 'cutRandom' ? rule.fault.seed : 0);
  }

  cancel(): void {
    this.#remove();
  }

  take(request: LoggedRequest): Fault | null {
    const { fault, path, kinds, server, method, skip = 0, times = 1 } = this.#rule;
    if (request.kind === 'preflight' && !kinds?.includes('preflight') && fault.type !== 'noCors') return null;
    if (kinds !== undefined && !kinds.includes(request.kind)) return null;
    if (server !== undefined && server !== request.server) return null;
    if (method !== undefined && method !== request.method) return null;
    if (path !== undefined && !matches(path, request)) return null;
    if (NEEDS_BODY.has(fault.type) && request.kind !== 'content' && request.kind !== 'api') return null;
    if (this.#seen++ < skip || this.used >= times) return null;
    this.used++;
    request.fault = fault.type;
    // The size is not known here: a fraction of it is drawn, in millionths.
    return fault.type === 'cutRandom' ? { ...fault, seed: Math.floor(this.#random() * 1e6) } : fault;
  }
}

function matches(pattern: RegExp | string, request: LoggedRequest): boolean {
  const names = [request.url, `${request.repository ?? ''}/${request.file ?? ''}`];
  return names.some((name) => (typeof pattern === 'string' ? name.includes(pattern) : pattern.test(name)));
}
