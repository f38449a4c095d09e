/**
 * A decoder's family as a {@link Blueprint}: the family reads its config, all else follows from what it read.
 */
import type { DecoderSpec } from '../contract/decoder-spec.ts';
import type { Blueprint } from './blueprint.ts';
import type { Config } from './config/config-reader.ts';
import { recordConfig } from './config/recorded-config.ts';
import { refuseUnread } from './config/refuse-unread.ts';
import { buildDecoderGraph } from './decoder-graph.ts';
import { listDecoderCaches, listDecoderWeights } from './decoder-weights.ts';

/** `readSpec` gets a config that records what of it is read; what it leaves unread is refused, but for fields that are
 * `ignored` because transformers' class of the family has none of their name. */
export function createDecoderBlueprint(
  modelTypes: readonly string[],
  readSpec: (config: Config) => DecoderSpec,
  ignored: readonly string[] = [],
): Blueprint {
  return {
    modelTypes,
    readSpec(config) {
      const recorded = recordConfig(config);
      const spec = readSpec(recorded.config);
      refuseUnread(spec.modelType, recorded, ignored);
      return spec;
    },
    listWeights: listDecoderWeights,
    listCaches: listDecoderCaches,
    buildGraph: buildDecoderGraph,
  };
}
