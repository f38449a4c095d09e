/**
 * The KV cache of a Llama-like decoder: keys and values of each layer, [1, KV, tokens, paddedHeadDim].
 */
import type { CacheSpec } from '../contract/caches.ts';
import { nameCache } from '../contract/graph-io.ts';
import type { DecoderShape } from '../contract/plan.ts';

/** In graph order. */
export function listDecoderCaches(shape: DecoderShape, type: CacheSpec['type']): readonly CacheSpec[] {
  const { layerCount, kvHeadCount, paddedHeadDim } = shape;
  return Array.from({ length: layerCount }, (_, layer) =>
    (['key', 'value'] as const).map((part) => ({
      layer,
      kind: 'kv' as const,
      ...nameCache(layer, part),
      type,
      dims: [1, kvHeadCount, null, paddedHeadDim],
      windowTokens: null,
      canRewind: true,
    })),
  ).flat();
}
