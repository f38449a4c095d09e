/**
 * Caches as the runtime's tensors in JavaScript memory.
 */
import type { Tensor } from 'onnxruntime-web';
import { cacheDims, countCacheBytes } from '../../base/cache-layout.ts';
import type { CacheSpec } from '../../contract/caches.ts';
import type { Ort } from './onnxruntime.ts';

/** A cache that has seen no token: no position, or a state of zeros. Float32 only. */
export function makeEmptyCache(ort: Ort, spec: CacheSpec): Tensor {
  return makeCacheTensor(ort, spec, new Float32Array(countCacheBytes(spec, 0) / 4), 0);
}

/** `data` as the cache of so many tokens. */
export function makeCacheTensor(ort: Ort, spec: CacheSpec, data: Float32Array, tokens: number): Tensor {
  return new ort.Tensor('float32', data, cacheDims(spec, tokens));
}
