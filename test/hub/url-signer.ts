/**
 * Signed addresses that expire. In: an address. Out: the same with `Expires` and `Signature`.
 */
import { createHmac, randomBytes } from 'node:crypto';

/** Signs and checks the CDN's addresses. */
export class UrlSigner {
  readonly #secret = randomBytes(16);
  readonly #validSeconds: number;
  /** Signatures older than the current generation of their path (or of all paths) are void. */
  readonly #generations = new Map<string, number>();
  #generation = 0;

  constructor(validSeconds: number) {
    this.#validSeconds = validSeconds;
  }

  sign(address: string): string {
    const url = new URL(address);
    const expires = String(Math.ceil(Date.now() / 1000 + this.#validSeconds));
    url.searchParams.set('Expires', expires);
    url.searchParams.set('Key-Pair-Id', 'LOCAL');
    url.searchParams.set('Signature', this.#compute(url.pathname, expires));
    return url.href;
  }

  verify(url: URL): boolean {
    const expires = url.searchParams.get('Expires') ?? '';
    if (!(Number(expires) * 1000 > Date.now())) return false;
    return url.searchParams.get('Signature') === this.#compute(url.pathname, expires);
  }

  /** Voids what was signed so far for a path, or for all. */
  revoke(pathname: string | null): void {
    if (pathname === null) this.#generation++;
    else this.#generations.set(pathname, (this.#generations.get(pathname) ?? 0) + 1);
  }

  #compute(pathname: string, expires: string): string {
    const generation = `${this.#generation}.${this.#generations.get(pathname) ?? 0}`;
    return createHmac('sha256', this.#secret).update(`${pathname} ${expires} ${generation}`).digest('base64url');
  }
}
