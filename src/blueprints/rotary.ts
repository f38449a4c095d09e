/**
 * Rotary position embeddings: config.json → frequencies → the tables that the graph looks up.
 *
 * In: `rope_theta` and `rope_scaling` as transformers 4 writes them, or `rope_parameters` as transformers 5 does. Out: a
 * {@link RotaryShape}, and from it cosines and sines [contextTokens, headDim / 2]. Guarantees: the tables follow
 * transformers' arithmetic, which is float32 at every step: at position 100,000 the rounding of the angle alone is worth
 * several thousandths, and that rounding is what the checkpoint was trained with.
 */
import { unreachable } from '../base/assert.ts';
import type { RotaryShape } from '../contract/plan.ts';
import {
  type Config,
  invalidConfig,
  readInteger,
  readObject,
  readPositive,
  unsupportedConfig,
} from './config-reader.ts';

/** Cosines and sines of every position and frequency, each [contextTokens, headDim / 2], row-major. */
export interface RotaryTables {
  readonly cos: Float32Array<ArrayBuffer>;
  readonly sin: Float32Array<ArrayBuffer>;
}

/** What {@link computeRotary} needs of a decoder's shape. */
export interface RotaryRequest {
  readonly rotary: RotaryShape;
  readonly headDim: number;
}

/** The rotary tables of the first `contextTokens` positions (RoFormer, arXiv:2104.09864, in the rotate-half layout). */
export function computeRotary(shape: RotaryRequest, contextTokens: number): RotaryTables {
  const frequencies = computeFrequencies(shape);
  const half = frequencies.length;
  const cos = new Float32Array(contextTokens * half);
  const sin = new Float32Array(contextTokens * half);
  for (let position = 0; position < contextTokens; position++) {
    for (let pair = 0; pair < half; pair++) {
      const angle = Math.fround(position * (frequencies[pair] ?? 0));
      cos[position * half + pair] = Math.cos(angle);
      sin[position * half + pair] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

/** Angle per position of each pair of channels, [headDim / 2]. */
export function computeFrequencies({ rotary, headDim }: RotaryRequest): Float32Array<ArrayBuffer> {
  const frequencies = Float32Array.from({ length: headDim / 2 }, (_, pair) => {
    const exponent = Math.fround((2 * pair) / headDim);
    return 1 / Math.fround(rotary.theta ** exponent);
  });
  return frequencies.map((frequency) => scaleFrequency(frequency, rotary.scaling));
}

/** Reads either form of the rotary fields. @throws LoadError `config_invalid`, `unsupported_architecture` */
export function readRotary(config: Config, maxContextTokens: number): RotaryShape {
  const parameters = readObject(config, 'rope_parameters');
  const scaling = readObject(config, 'rope_scaling');
  const field = parameters ? 'rope_parameters' : 'rope_scaling';
  const fields = parameters ?? scaling ?? {};
  if (Object.values(fields).some((value) => typeof value === 'object' && value !== null && !Array.isArray(value))) {
    throw unsupportedConfig(field, fields, 'one set of rotary parameters for all layers');
  }
  const partial = fields['partial_rotary_factor'] ?? config['partial_rotary_factor'] ?? 1;
  if (partial !== 1) throw unsupportedConfig('partial_rotary_factor', partial, '1');

  const theta = readPositive({ rope_theta: fields['rope_theta'] ?? config['rope_theta'] }, 'rope_theta', 10_000);
  return { theta, scaling: readScaling(fields, field, maxContextTokens) };
}

function readScaling(fields: Config, field: string, maxContextTokens: number): RotaryShape['scaling'] {
  const type = fields['rope_type'] ?? fields['type'] ?? 'default';
  switch (type) {
    case 'default':
      return { type: 'none' };
    case 'linear':
      return { type: 'linear', factor: readPositive(fields, 'factor') };
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
        originalContextTokens: readInteger(fields, 'original_max_position_embeddings', { fallback: maxContextTokens }),
      };
    }
    default:
      throw unsupportedConfig(`${field}.rope_type`, type, 'default, linear or llama3');
  }
}

function scaleFrequency(frequency: number, scaling: RotaryShape['scaling']): number {
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
