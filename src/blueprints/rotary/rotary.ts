/**
 * Rotary position embeddings: config.json → frequencies → the tables that the graph looks up.
 *
 * In: `rope_theta` and `rope_scaling` as transformers 4 writes them, or `rope_parameters` as transformers 5 does. Out: a
 * {@link RotarySpec}, and from it cosines and sines [contextTokens, paddedHeadDim / 2]. Guarantees: the tables follow
 * transformers' arithmetic, which is float32 at every step: at position 100,000 the rounding of the angle alone is worth
 * several thousandths, and that rounding is what the checkpoint was trained with. A kind of scaling that changes nothing
 * within the length that the model may be used at is read as none; one that we cannot compute is refused by its name.
 */
import { unreachable } from '../../base/assert.ts';
import type { RotaryScaling, RotarySpec } from '../../contract/decoder-spec.ts';
import {
  type Config,
  invalidConfig,
  readInteger,
  readObject,
  readPositive,
  unsupportedConfig,
} from '../config/config-reader.ts';

/** Cosines and sines of every position and frequency, each [contextTokens, paddedHeadDim / 2], row-major. */
export interface RotaryTables {
  readonly cos: Float32Array<ArrayBuffer>;
  readonly sin: Float32Array<ArrayBuffer>;
}

/**
 * The rotary tables of the first `contextTokens` positions (RoFormer, arXiv:2104.09864, in the rotate-half layout). Pairs that
 * pad a head are not turned: their cosine is 1.
 */
export function computeRotary(spec: RotarySpec, contextTokens: number): RotaryTables {
  const frequencies = computeFrequencies(spec);
  const half = spec.paddedHeadDim / 2;
  const cos = new Float32Array(contextTokens * half).fill(1);
  const sin = new Float32Array(contextTokens * half);
  for (let position = 0; position < contextTokens; position++) {
    for (let pair = 0; pair < frequencies.length; pair++) {
      const angle = Math.fround(position * (frequencies[pair] ?? 0));
      cos[position * half + pair] = Math.cos(angle);
      sin[position * half + pair] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

/** Angle per position of each pair of channels, [headDim / 2]. */
export function computeFrequencies({
  theta,
  scaling,
  headDim,
}: Omit<RotarySpec, 'paddedHeadDim'>): Float32Array<ArrayBuffer> {
  const frequencies = Float32Array.from({ length: headDim / 2 }, (_, pair) => {
    const exponent = Math.fround((2 * pair) / headDim);
    return 1 / Math.fround(theta ** exponent);
  });
  return frequencies.map((frequency) => scaleFrequency(frequency, scaling));
}

/**
 * Reads the rotary fields, wherever transformers 5 finds them (modeling_rope_utils.py, `convert_rope_params_to_dict` and
 * `standardize_rope_params`): a `rope_scaling` that is not empty goes before `rope_parameters`; what stands inside goes before
 * what stands beside it, but for `original_max_position_embeddings`, where it is the other way round.
 * `statedContextTokens`: `max_position_embeddings`, beyond which the model is not used.
 * @throws LoadError `config_invalid`, `unsupported_architecture`
 */
export function readRotary(config: Config, statedContextTokens: number): Pick<RotarySpec, 'theta' | 'scaling'> {
  const scaling = readObject(config, 'rope_scaling') ?? {};
  const field = Object.keys(scaling).length > 0 ? 'rope_scaling' : 'rope_parameters';
  const fields = field === 'rope_scaling' ? scaling : (readObject(config, 'rope_parameters') ?? {});
  // Where layers differ, the parameters stand by the kind of layer. Named, because a list of all fields would count as reading them.
  if (LAYER_KINDS.some((kind) => typeof fields[kind] === 'object')) {
    throw unsupportedConfig(field, fields, 'one set of rotary parameters for all layers');
  }
  const partial = fields['partial_rotary_factor'] ?? config['partial_rotary_factor'] ?? 1;
  if (partial !== 1) throw unsupportedConfig('partial_rotary_factor', partial, '1');

  const theta = readPositive({ rope_theta: fields['rope_theta'] ?? config['rope_theta'] }, 'rope_theta', 10_000);
  return { theta, scaling: readScaling(fields, field, { config, statedContextTokens }) };
}

const LAYER_KINDS = ['full_attention', 'sliding_attention', 'chunked_attention', 'compressed'] as const;

/** What some kinds of scaling need besides their own fields. */
interface RotarySurroundings {
  readonly config: Config;
  readonly statedContextTokens: number;
}

function readScaling(fields: Config, field: string, around: RotarySurroundings): RotaryScaling {
  const [named, formerly] = [fields['rope_type'], fields['type']]; // both may stand there; the first one counts
  const type = named ?? formerly ?? 'default';
  switch (type) {
    case 'default':
      return { type: 'none' };
    case 'dynamic':
      // Stretches the frequencies only once a sequence is longer than max_position_embeddings, where our context ends.
      return { type: 'none' };
    case 'linear':
      return { type: 'linear', factor: readPositive(fields, 'factor') };
    case 'yarn':
      return readYarn(fields, field, around);
    case 'llama3': {
      const lowFreqFactor = readPositive(fields, 'low_freq_factor');
      const highFreqFactor = readPositive(fields, 'high_freq_factor');
      if (highFreqFactor <= lowFreqFactor) {
        throw invalidConfig('high_freq_factor', highFreqFactor, `above low_freq_factor, ${lowFreqFactor}`);
      }
      return {
        type: 'llama3',
        factor: readPositive(fields, 'factor'),
        lowFreqFactor,
        highFreqFactor,
        originalContextTokens: readOriginalContext(fields, around),
      };
    }
    default:
      throw unsupportedConfig(`${field}.rope_type`, type, SUPPORTED_TYPES);
  }
}

const SUPPORTED_TYPES =
  'default, linear, llama3, dynamic (up to max_position_embeddings tokens), or yarn that stretches nothing (factor 1)';

/**
 * YaRN (arXiv:2309.00071) blends each frequency with the same frequency divided by `factor`, and scales cosines and sines by
 * an attention factor. With a factor of 1 there is nothing to blend, and the attention factor is 1 unless it is stated.
 */
function readYarn(fields: Config, field: string, around: RotarySurroundings): RotaryScaling {
  const factor = readPositive(fields, 'factor', around.statedContextTokens / readOriginalContext(fields, around));
  const attentionFactor = readPositive(fields, 'attention_factor', 1);
  if (factor === 1 && attentionFactor === 1) return { type: 'none' };
  const found = { rope_type: 'yarn', factor, attention_factor: attentionFactor };
  throw unsupportedConfig(field, found, SUPPORTED_TYPES);
}

/** The length that the model was trained at before its frequencies were stretched. */
function readOriginalContext(fields: Config, { config, statedContextTokens }: RotarySurroundings): number {
  const name = 'original_max_position_embeddings';
  return readInteger({ [name]: config[name] ?? fields[name] }, name, { fallback: statedContextTokens });
}

function scaleFrequency(frequency: number, scaling: RotaryScaling): number {
  switch (scaling.type) {
    case 'none':
      return frequency;
    case 'linear':
      return frequency / scaling.factor;
    case 'llama3': {
      // Waves that turn often within the original context stay; those that never complete a turn are stretched by
      // `factor`; between the two, a blend (transformers: _compute_llama3_parameters).
      const { factor, lowFreqFactor, highFreqFactor, originalContextTokens } = scaling;
      const turns = (originalContextTokens * frequency) / (2 * Math.PI);
      if (turns > highFreqFactor) return frequency;
      if (turns < lowFreqFactor) return frequency / factor;
      const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
      return ((1 - smooth) * frequency) / factor + smooth * frequency;
    }
    default:
      return unreachable(scaling);
  }
}
