/**
 * A Llama-like family as a {@link Blueprint}: the family reads its config, the weights and the graph are shared.
 */
import type { DecoderShape } from '../contract/plan.ts';
import type { Blueprint } from './blueprint.ts';
import type { Config } from './config-reader.ts';
import { buildDecoderGraph } from './decoder-graph.ts';
import { listDecoderCaches } from './decoder-caches.ts';
import { listDecoderWeights } from './decoder-weights.ts';

/** The blueprint of a family that differs from Llama in its config only. */
export function createDecoderBlueprint(
  modelTypes: readonly string[],
  readShape: (config: Config) => DecoderShape,
): Blueprint {
  return {
    modelTypes,
    readShape,
    listWeights: listDecoderWeights,
    listCaches: listDecoderCaches,
    buildGraph: buildDecoderGraph,
  };
}
