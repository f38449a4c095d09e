/**
 * Runs a graph on onnxruntime-web's CPU provider in Node: prefill, decode, with a growing or a static KV cache.
 */
import * as ort from 'onnxruntime-web';
import { listGraphTensors } from '../../../../src/base/weight-tensors.ts';
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
  readonly plan: TestPlan;
  readonly buffers: ReadonlyMap<string, Uint8Array>;
  readonly model: Uint8Array;
  readonly binding: 'inputs' | 'initializers';
  /** Tokens of a static cache; null for a growing one. */
  readonly capacity: number | null;
}

export async function createRunner(options: RunnerOptions): Promise<Runner> {
  const { plan, buffers, binding, capacity } = options;
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(options.model, {
    executionProviders: ['wasm'],
    logSeverityLevel: 3,
    externalData: binding === 'inputs' ? [] : [...buffers].map(([path, data]) => ({ path, data })),
  });
  const weights: Record<string, ort.Tensor> = {};
  if (binding === 'inputs') {
    for (const { name, type, dims, buffer } of listGraphTensors(plan.weights)) {
      if (session.inputNames.includes(name)) weights[name] = toTensor(type, buffers.get(buffer) as Uint8Array, dims);
    }
  }
  let past = 0;
  let cache = emptyCache(plan.caches, capacity ?? 0);
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
      cache = emptyCache(plan.caches, capacity ?? 0);
    },
    release: () => session.release(),
  };
}

function emptyCache(caches: TestPlan['caches'], capacity: number): Record<string, ort.Tensor> {
  return Object.fromEntries(
    caches.map(({ past, type, dims }) => {
      const whole = dims.map((dim) => dim ?? capacity);
      const size = whole.reduce((product, dim) => product * dim, 1);
      return [past, toTensor(type, new Uint8Array(size * (type === 'float16' ? 2 : 4)), whole)];
    }),
  );
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
