/**
 * What is wanted of one blob: ranges now, the whole file, or "tell me when these bytes are there".
 *
 * In: wants with their signals. Out: promises that end with bytes, an error, or `aborted`. Guarantees: a want is answered at most
 * once and gone from the list when it is; one that is aborted is gone at once. Once the blob is complete, its bytes are read
 * from there, not from here: all wants end with null.
 */
import { abortedError, throwIfAborted } from '../../base/abort.ts';
import type { LoadError } from '../../contract/errors.ts';
import { addInterval, missingIntervals } from '../../store/intervals.ts';
import type { Interval } from '../../store/intervals.ts';

/** `wait` alone keeps no transfer going: it only listens. */
export type WantKind = 'range' | 'whole' | 'wait';

/**
 * Bytes `[start, end)`. They lie at the start of `memory`, where it is given and large enough; else in new memory. From another
 * worker it is taken away, and comes back with them if the call does not fail: what is transferred and dropped there is freed
 * when the browser gets round to it, which it did at 170 MB.
 */
export interface RangeWant extends Interval {
  readonly memory?: ArrayBuffer | undefined;
}

/** Bytes that somebody waits for. */
export interface Want extends RangeWant {
  readonly kind: WantKind;
  /** Null: the blob is complete. */
  readonly resolve: (bytes: Uint8Array<ArrayBuffer> | null) => void;
  readonly reject: (error: unknown) => void;
}

/** See the file's header. */
export class WantList {
  readonly #wants = new Set<Want>();

  get isEmpty(): boolean {
    return this.#wants.size === 0;
  }

  /** Whether anything is wanted that must be fetched. */
  get hasActive(): boolean {
    return [...this.#wants].some((want) => want.kind !== 'wait');
  }

  has(kind: WantKind): boolean {
    return [...this.#wants].some((want) => want.kind === kind);
  }

  /** Those of a kind, in the order in which they came. */
  of(kind: WantKind): readonly Want[] {
    return [...this.#wants].filter((want) => want.kind === kind);
  }

  /** Adds a want of somebody who is not there to abort it. */
  add(want: Want): void {
    this.#wants.add(want);
  }

  /** Adds a want; `onChange` is told when it has come and when it was aborted. */
  async want(
    wanted: Omit<Want, 'resolve' | 'reject'>,
    signal: AbortSignal,
    onChange: (what: 'added' | 'aborted') => void,
  ): Promise<Uint8Array<ArrayBuffer> | null> {
    throwIfAborted(signal);
    let onAbort: (() => void) | undefined;
    const result = new Promise<Uint8Array<ArrayBuffer> | null>((resolve, reject) => {
      const want = { ...wanted, resolve, reject };
      this.#wants.add(want);
      onAbort = () => {
        if (this.#wants.delete(want)) reject(abortedError(signal));
        onChange('aborted');
      };
    });
    if (onAbort) signal.addEventListener('abort', onAbort, { once: true });
    onChange('added');
    try {
      return await result;
    } finally {
      if (onAbort) signal.removeEventListener('abort', onAbort);
    }
  }

  /** Answers every want that `read` has bytes for; null: not yet. What `read` throws goes to that want. */
  serve(read: (want: Want) => Uint8Array<ArrayBuffer> | null): void {
    for (const want of this.#wants) {
      try {
        const bytes = read(want);
        if (bytes === null) continue;
        this.#wants.delete(want);
        want.resolve(bytes);
      } catch (error) {
        this.#wants.delete(want);
        want.reject(error);
      }
    }
  }

  /** The blob is complete. */
  resolveAll(): void {
    for (const want of this.#wants) want.resolve(null);
    this.#wants.clear();
  }

  rejectAll(error: LoadError): void {
    for (const want of this.#wants) want.reject(error);
    this.#wants.clear();
  }

  /** The first gap, at most `maxBytes` of it, that a want of this kind has between what is on disk and what is asked for already. */
  findGap(kind: WantKind, onDisk: readonly Interval[], asked: Iterable<Interval>, maxBytes: number): Interval | null {
    let taken = onDisk;
    for (const { start, end } of asked) taken = addInterval(taken, start, end);
    for (const want of this.of(kind)) {
      const gap = missingIntervals(taken, want.start, want.end)[0];
      if (gap) return { start: gap.start, end: Math.min(gap.end, gap.start + maxBytes) };
    }
    return null;
  }

  /** Whether somebody still needs some of these bytes to be fetched. */
  needs({ start, end }: Interval): boolean {
    return [...this.#wants].some((want) => want.kind !== 'wait' && want.start < end && start < want.end);
  }
}
