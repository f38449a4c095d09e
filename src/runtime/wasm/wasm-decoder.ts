/**
 * A decoder on WebAssembly: the same graph with external-data initializers and a growing KV cache.
 *
 * In: the graph and a function that makes the bytes of one weight buffer. Out: a {@link Decoder}. Guarantees: at most one
 * weight buffer exists outside the WASM heap at a time. The cache grows because onnxruntime copies every CPU input into its
 * heap on each run, so a static cache would be copied whole at every step.
 */
import type { InferenceSession, Tensor } from 'onnxruntime-web';
import type { LoadPlan } from '../../contract/plan.ts';
import { GRAPH_IO, listCacheNames } from '../decoder.ts';
import type { Decoder, KvParking } from '../decoder.ts';
import { LazyBytes } from './lazy-bytes.ts';
import type { Ort } from '../ort/onnxruntime.ts';
import { toRuntimeError } from '../ort/runtime-errors.ts';

/** What a WASM decoder is made from. */
export interface WasmDecoderParts {
  readonly ort: Ort;
  readonly plan: LoadPlan;
  readonly graph: Uint8Array<ArrayBuffer>;
  /** The whole content of one weight buffer, synchronously; called once a buffer. */
  readonly makeBuffer: (bufferName: string, sizeBytes: number) => Uint8Array;
}

/** @throws LoadError `runtime_failed`, `out_of_memory` */
export async function createWasmDecoder({ ort, plan, graph, makeBuffer }: WasmDecoderParts): Promise<Decoder> {
  let failure: unknown;
  const externalData = plan.weights
    .flatMap((weight) => weight.buffers)
    .map(({ name, sizeBytes }) => ({
      path: name,
      data: new LazyBytes(sizeBytes, (start, end) => {
        try {
          const bytes = makeBuffer(name, sizeBytes);
          return start === 0 && end === bytes.byteLength ? bytes : bytes.subarray(start, end);
        } catch (error) {
          failure = error; // the runtime would wrap it in a message; ours says more
          throw error;
        }
      }),
    }));
  let session: InferenceSession;
  try {
    session = await ort.InferenceSession.create(graph, { executionProviders: ['wasm'], externalData });
  } catch (error) {
    throw toRuntimeError(failure ?? error, 'creating the WebAssembly session', null);
  }
  const cache = new GrowingCache(ort, plan);

  return {
    contextTokens: plan.maxContextTokens, // its cache grows as it goes
    parking: cache.parking(plan.conversations - 1),
    async run(ids, startPosition) {
      cache.truncate(startPosition);
      const total = startPosition + ids.length;
      const feeds = {
        ...cache.tensors(),
        [GRAPH_IO.inputIds]: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
        [GRAPH_IO.seqlensK]: new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
        [GRAPH_IO.totalSequenceLength]: new ort.Tensor('int32', Int32Array.of(total), [1]),
      };
      try {
        const outputs = await session.run(feeds);
        cache.replace(outputs, total);
        return outputs[GRAPH_IO.logits]?.data as Float32Array; // [V]
      } catch (error) {
        throw toRuntimeError(error, 'running the model', null);
      }
    },
    async release() {
      cache.clear();
      await session.release();
    },
  };
}

/** Keys and values of all layers, [1, kvHeads, length, paddedHeadDim] each. */
class GrowingCache {
  readonly #ort: Ort;
  readonly #plan: LoadPlan;
  readonly #names: ReturnType<typeof listCacheNames>;
  #tensors: Record<string, Tensor> = {};
  #length = 0;

  constructor(ort: Ort, plan: LoadPlan) {
    this.#ort = ort;
    this.#plan = plan;
    this.#names = listCacheNames(plan.shape);
    this.clear();
  }

  tensors(): Readonly<Record<string, Tensor>> {
    return this.#tensors;
  }

  replace(outputs: Readonly<Record<string, Tensor>>, length: number): void {
    this.#tensors = Object.fromEntries(this.#names.map(({ past, present }) => [past, outputs[present] as Tensor]));
    this.#length = length;
  }

  clear(): void {
    this.#tensors = Object.fromEntries(this.#names.map(({ past }) => [past, this.#makeTensor(new Float32Array(0), 0)]));
    this.#length = 0;
  }

  /** Tensors are never written to, so that parking one conversation more is a matter of names. */
  parking(slotCount: number): KvParking {
    const slots = new Map<number, { readonly tensors: Record<string, Tensor>; readonly length: number }>();
    const park = (slot: number, tokens: number): void => {
      this.truncate(tokens);
      slots.set(slot, { tensors: this.#tensors, length: this.#length });
    };
    return {
      slotCount,
      roomOf: () => Infinity,
      park,
      swap: (slot, liveTokens, parkedTokens) => {
        const parked = slots.get(slot);
        if (liveTokens > 0) park(slot, liveTokens);
        else slots.delete(slot);
        if (parked) [this.#tensors, this.#length] = [parked.tensors, parked.length];
        this.truncate(parkedTokens);
      },
    };
  }

  /** Keeps the first `length` positions of every head. */
  truncate(length: number): void {
    if (length === this.#length) return;
    if (length === 0) {
      this.clear();
      return;
    }
    const { kvHeadCount, paddedHeadDim } = this.#plan.shape;
    const truncated: Record<string, Tensor> = {};
    for (const { past } of this.#names) {
      const old = this.#tensors[past]?.data as Float32Array;
      const kept = new Float32Array(kvHeadCount * length * paddedHeadDim);
      for (let head = 0; head < kvHeadCount; head++) {
        const start = head * this.#length * paddedHeadDim;
        kept.set(old.subarray(start, start + length * paddedHeadDim), head * length * paddedHeadDim);
      }
      truncated[past] = this.#makeTensor(kept, length);
    }
    this.#tensors = truncated;
    this.#length = length;
  }

  #makeTensor(data: Float32Array, length: number): Tensor {
    const { kvHeadCount, paddedHeadDim } = this.#plan.shape;
    return new this.#ort.Tensor('float32', data, [1, kvHeadCount, length, paddedHeadDim]);
  }
}
