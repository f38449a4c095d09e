/**
 * Repositories in memory: a config, and checkpoint headers made from the shapes that transformers' modelling code gives the
 * tensors (written out here by hand, not taken from the blueprints). The weights themselves are never read by a plan, so files
 * are as large as they claim only on paper.
 */
import { isLoadError, type LoadError } from '../../../src/contract/errors.ts';
import type { AdapterInfo } from '../../../src/contract/load.ts';
import type { LoadPlan } from '../../../src/contract/plan.ts';
import type { Snapshot } from '../../../src/contract/snapshot.ts';
import { planLoad, type PlanInput } from '../../../src/pipeline/plan/plan.ts';

export interface HeaderTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
}

export type Tensors = ReadonlyMap<string, HeaderTensor>;

const BITS: Readonly<Record<string, number>> = { F32: 32, BF16: 16, F16: 16, F64: 64, I8: 8, F8_E4M3: 8 };

export const LLAMA_CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-6,
  rope_theta: 10000,
  tie_word_embeddings: true,
  vocab_size: 300,
};

interface ConfigLike {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly vocab_size: number;
  readonly tie_word_embeddings: boolean;
  readonly model_type: string;
}

/** Every tensor of a checkpoint with this config. */
export function listTensors(config: ConfigLike, dtype = 'BF16'): Map<string, HeaderTensor> {
  const h = config.hidden_size;
  const headDim = h / config.num_attention_heads;
  const q = config.num_attention_heads * headDim;
  const kv = config.num_key_value_heads * headDim;
  const i = config.intermediate_size;
  const tensors = new Map<string, HeaderTensor>();
  const add = (name: string, ...shape: number[]): unknown => tensors.set(name, { dtype, shape });
  add('model.embed_tokens.weight', config.vocab_size, h);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = `model.layers.${layer}`;
    add(`${at}.input_layernorm.weight`, h);
    add(`${at}.self_attn.q_proj.weight`, q, h);
    add(`${at}.self_attn.k_proj.weight`, kv, h);
    add(`${at}.self_attn.v_proj.weight`, kv, h);
    if (config.model_type === 'qwen2') {
      add(`${at}.self_attn.q_proj.bias`, q);
      add(`${at}.self_attn.k_proj.bias`, kv);
      add(`${at}.self_attn.v_proj.bias`, kv);
    }
    add(`${at}.self_attn.o_proj.weight`, h, q);
    add(`${at}.post_attention_layernorm.weight`, h);
    add(`${at}.mlp.gate_proj.weight`, i, h);
    add(`${at}.mlp.up_proj.weight`, i, h);
    add(`${at}.mlp.down_proj.weight`, h, i);
  }
  add('model.norm.weight', h);
  if (!config.tie_word_embeddings) add('lm_head.weight', config.vocab_size, h);
  return tensors;
}

/** A repository on paper. */
export interface MadeRepository {
  readonly snapshot: Snapshot;
  readonly readAll: PlanInput['readAll'];
  readonly readRange: PlanInput['readRange'];
  /** Bytes that were read by range, per file. */
  readonly rangeBytes: Map<string, number>;
}

/** `shards`: file → its tensors. `texts`: other files by content (strings as they are, the rest as JSON). */
export function makeRepository(
  shards: ReadonlyMap<string, Tensors>,
  texts: Readonly<Record<string, unknown>> = {},
): MadeRepository {
  const contents = new Map<string, Uint8Array>();
  const sizes = new Map<string, number>();
  for (const [path, value] of Object.entries(texts)) {
    const bytes = new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
    contents.set(path, bytes);
    sizes.set(path, bytes.length);
  }
  for (const [path, tensors] of shards) {
    const { bytes, sizeBytes } = writeHeader(tensors);
    contents.set(path, bytes);
    sizes.set(path, sizeBytes);
  }
  const rangeBytes = new Map<string, number>();
  const contentOf = (path: string): Uint8Array => contents.get(path) ?? new Uint8Array(0);
  return {
    rangeBytes,
    snapshot: {
      modelId: 'org/name',
      source: 'hub',
      endpoint: 'https://hub.example',
      revision: 'main',
      commit: '0123456789abcdef0123456789abcdef01234567',
      files: [...sizes].map(([path, sizeBytes]) => ({
        path,
        sizeBytes,
        hash: null,
        url: `https://hub.example/${path}`,
      })),
      resolvedAtMs: 0,
      offline: false,
    },
    readAll: (path) => Promise.resolve(contentOf(path)),
    readRange: (path, start, end) => {
      rangeBytes.set(path, (rangeBytes.get(path) ?? 0) + end - start);
      const bytes = new Uint8Array(end - start); // beyond the header: zeros
      bytes.set(contentOf(path).subarray(start, end));
      return Promise.resolve(bytes);
    },
  };
}

/** The length field and header of a file, and the size that the file would have. */
function writeHeader(tensors: Tensors): { bytes: Uint8Array; sizeBytes: number } {
  let at = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const [name, { dtype, shape }] of tensors) {
    const end = at + shape.reduce((a, b) => a * b, BITS[dtype] as number) / 8;
    header[name] = { dtype, shape, data_offsets: [at, end] };
    at = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return { bytes, sizeBytes: bytes.length + at };
}

/** A repository with one model.safetensors. */
export function makeSingle(
  config: object,
  tensors: Tensors,
  texts: Readonly<Record<string, unknown>> = {},
): MadeRepository {
  return makeRepository(new Map([['model.safetensors', tensors]]), { 'config.json': config, ...texts });
}

export const ADAPTER: AdapterInfo = {
  vendor: 'test',
  architecture: '',
  device: '',
  description: '',
  isFallbackAdapter: false,
  features: [],
  limits: { maxBufferSize: 2 ** 32, maxStorageBufferBindingSize: 2 ** 31 },
};

/** Plans with defaults for what a test does not care about. */
export function plan(repository: MadeRepository, overrides: Partial<PlanInput> = {}): Promise<LoadPlan> {
  const { snapshot, readAll, readRange } = repository;
  return planLoad({
    snapshot,
    readAll,
    readRange,
    adapter: ADAPTER,
    ...overrides,
    request: { dtype: 'auto', device: 'auto', contextTokens: null, simulatedLimits: null, ...overrides.request },
  });
}

/** The LoadError that `work` ends in. */
export async function errorOf(work: Promise<unknown>): Promise<LoadError> {
  try {
    await work;
  } catch (error) {
    if (isLoadError(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
