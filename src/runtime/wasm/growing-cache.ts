/**
 * What a model on WebAssembly keeps from run to run: tensors in JavaScript memory, as long as the sequence is.
 *
 * In: the caches' specifications, and the outputs of each run. Out: the inputs of the next. Guarantees: a tensor is never written to
 * once it is here, so that parking a conversation copies nothing.
 */
import type { Tensor } from 'onnxruntime-web';
import { assert } from '../../base/assert.ts';
import { countCacheBytes, growsWithTokens, listCopies } from '../../base/cache-layout.ts';
import type { CacheSpec } from '../../contract/caches.ts';
import type { KvParking, StateSnapshots } from '../decoder.ts';
import { makeCacheTensor, makeEmptyCache } from '../ort/cache-tensor.ts';
import type { Ort } from '../ort/onnxruntime.ts';

type Tensors = Readonly<Record<string, Tensor>>;

/** What was kept, and for how many tokens. */
interface Kept {
  readonly tensors: Tensors;
  readonly length: number;
}

/** See the file's header. */
export class GrowingCache {
  readonly #ort: Ort;
  readonly #specs: readonly CacheSpec[];
  #tensors: Tensors = {};
  #length = 0;

  constructor(ort: Ort, specs: readonly CacheSpec[]) {
    this.#ort = ort;
    this.#specs = specs;
    this.clear();
  }

  /** Tokens that it holds. */
  get length(): number {
    return this.#length;
  }

  tensors(): Tensors {
    return this.#tensors;
  }

  replace(outputs: Tensors, length: number): void {
    this.#tensors = Object.fromEntries(this.#specs.map(({ past, present }) => [past, outputs[present] as Tensor]));
    this.#length = length;
  }

  clear(): void {
    this.#tensors = Object.fromEntries(this.#specs.map((spec) => [spec.past, makeEmptyCache(this.#ort, spec)]));
    this.#length = 0;
  }

  parking(slotCount: number): KvParking {
    const slots = new Map<number, Kept>();
    const park = (slot: number, tokens: number): void => {
      slots.set(slot, this.#keep(tokens));
    };
    return {
      slotCount,
      roomOf: () => Infinity,
      park,
      swap: (slot, liveTokens, parkedTokens) => {
        const parked = slots.get(slot);
        if (liveTokens > 0) park(slot, liveTokens);
        else slots.delete(slot);
        if (parked === undefined || parkedTokens === 0) {
          this.clear();
          return;
        }
        [this.#tensors, this.#length] = [parked.tensors, parked.length];
        const kept = this.#keep(parkedTokens);
        [this.#tensors, this.#length] = [kept.tensors, kept.length];
      },
    };
  }

  /** Null where every cache can be cut back, so that no copy of an earlier state is ever needed. */
  snapshots(slotCount: number): StateSnapshots | null {
    const states = this.#specs.filter(({ canRewind }) => !canRewind);
    if (states.length === 0) return null;
    const slots = new Map<number, Kept>();
    return {
      slotCount,
      take: (slot) => {
        const tensors = states.map(({ past }) => [past, this.#tensors[past] as Tensor] as const);
        slots.set(slot, { tensors: Object.fromEntries(tensors), length: this.#length });
      },
      restore: (slot) => {
        const kept = slots.get(slot);
        assert(
          kept && kept.length <= this.#length,
          'a snapshot is taken before it is restored, of an earlier position',
        );
        this.#tensors = { ...this.#cut(kept.length), ...kept.tensors };
        this.#length = kept.length;
      },
      clear: () => this.clear(),
    };
  }

  /** The first `length` positions, and the states as they are. */
  #keep(length: number): Kept {
    return { tensors: { ...this.#tensors, ...this.#cut(length) }, length };
  }

  /** Keeps the first `length` positions. A state of fixed size cannot be cut back: only to no token at all. */
  truncate(length: number): void {
    if (length === this.#length) return;
    if (length === 0) {
      this.clear();
      return;
    }
    assert(
      this.#specs.every(({ canRewind }) => canRewind),
      'a state that cannot rewind is restored from a snapshot instead',
    );
    this.#tensors = this.#cut(length);
    this.#length = length;
  }

  /** The caches with an axis for the sequence, cut to `length` positions. */
  #cut(length: number): Tensors {
    if (length === this.#length) return this.#tensors;
    assert(length < this.#length, 'only what the cache holds can be kept');
    const growing = this.#specs.filter(growsWithTokens);
    return Object.fromEntries(growing.map((spec) => [spec.past, this.#cutOne(spec, length)]));
  }

  #cutOne(spec: CacheSpec, length: number): Tensor {
    const old = this.#tensors[spec.past]?.data as Float32Array;
    const kept = new Float32Array(countCacheBytes(spec, length) / 4);
    for (const { from, to, sizeBytes } of listCopies(spec, this.#length, length, length)) {
      kept.set(old.subarray(from / 4, (from + sizeBytes) / 4), to / 4);
    }
    return makeCacheTensor(this.#ort, spec, kept, length);
  }
}
