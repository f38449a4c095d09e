/**
 * Runs a graph on onnxruntime-web's CPU provider in Node: prefill, decode, with a growing or a static KV cache.
 */
import * as ort from 'onnxruntime-web';
import type { DecoderShape } from '../../../../src/contract/plan.ts';
import type { TestPlan } from './plan.ts';
import { halfToNumber } from './checkpoint.ts';

/** A session with its KV cache. */
export interface Runner {
  /** Logits of the last of `ids`, which follow what was given before. */
  run(ids: readonly number[]): Promise<Float32Array>;
  reset(): void;
  release(): Promise<void>;
}

export interface RunnerOptions {
  readonly shape: DecoderShape;
  readonly plan: TestPlan;
  readonly buffers: ReadonlyMap<string, Uint8Array>;
  readonly model: Uint8Array;
  readonly binding: 'inputs' | 'initializers';
  /** Tokens of a static cache; null for a growing one. */
  readonly capacity: number | null;
}

export async function createRunner(options: RunnerOptions): Promise<Runner> {
  const { shape, plan, buffers, binding, capacity } = options;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(options.model, {
    executionProviders: ['wasm'],
    logSeverityLevel: 3,
    externalData: binding === 'inputs' ? [] : [...buffers].map(([path, data]) => ({ path, data })),
  });
  const weights: Record<string, ort.Tensor> = {};
  if (binding === 'inputs') {
    for (const { name, type, dims, buffer } of plan.graphTensors) {
      if (session.inputNames.includes(name)) weights[name] = toTensor(type, buffers.get(buffer) as Uint8Array, dims);
    }
  }
  let past = 0;
  let cache = emptyCache(shape, plan.kvType, capacity ?? 0);
  return {
    async run(ids) {
      const total = past + ids.length;
      const feeds = {
        ...weights,
        ...cache,
        input_ids: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
        seqlens_k: new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
        total_sequence_length: new ort.Tensor('int32', Int32Array.of(total), [1]),
      };
      const results = await session.run(feeds);
      past = total;
      cache = Object.fromEntries(
        Object.entries(results)
          .filter(([name]) => name.startsWith('present.'))
          .map(([name, tensor]) => [name.replace('present.', 'past_key_values.'), tensor]),
      );
      return Float32Array.from((results['logits'] as ort.Tensor).data as Float32Array);
    },
    reset() {
      past = 0;
      cache = emptyCache(shape, plan.kvType, capacity ?? 0);
    },
    release: () => session.release(),
  };
}

function emptyCache(shape: DecoderShape, type: 'float32' | 'float16', capacity: number): Record<string, ort.Tensor> {
  const dims = [1, shape.kvHeadCount, capacity, shape.paddedHeadDim];
  const size = dims.reduce((product, dim) => product * dim, 1);
  const make = () =>
    type === 'float32'
      ? new ort.Tensor('float32', new Float32Array(size), dims)
      : toTensor('float16', new Uint8Array(size * 2), dims);
  return Object.fromEntries(
    Array.from({ length: shape.layerCount }, (_, layer) => [
      [`past_key_values.${layer}.key`, make()],
      [`past_key_values.${layer}.value`, make()],
    ]).flat(),
  ) as Record<string, ort.Tensor>;
}

function toTensor(type: string, bytes: Uint8Array, dims: readonly number[]): ort.Tensor {
  const copy = bytes.slice().buffer;
  switch (type) {
    case 'uint8':
      return new ort.Tensor('uint8', new Uint8Array(copy), dims);
    case 'float16':
      return new ort.Tensor('float16', new Uint16Array(copy), dims);
    default:
      return new ort.Tensor('float32', new Float32Array(copy), dims);
  }
}

/** The largest absolute difference. */
export function maxDifference(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Infinity;
  return a.reduce((most, value, index) => {
    const difference = Math.abs(value - (b[index] ?? NaN));
    return Number.isNaN(difference) ? Infinity : Math.max(most, difference);
  }, 0);
}

export { halfToNumber };
