/**
 * The architecture's weights against the checkpoint's tensors: every one found, of the right shape, of a loadable dtype, and
 * nothing left over that would change what the model computes. Pure.
 *
 * In: weight specs with canonical names, and the tensor table. Out: each spec's sources, and the unused tensors, each with its
 * reason. Guarantees: an error names everything that is wrong of its kind, not the first find only.
 */
import { assert } from '../../base/assert.ts';
import type { SourceSpec, WeightSpec } from '../../blueprints/blueprint.ts';
import { type ErrorCode, LoadError } from '../../contract/errors.ts';
import type { DecoderSpec } from '../../contract/decoder-spec.ts';
import type { LoadPlan, TensorSource } from '../../contract/plan.ts';
import { countSpread } from '../../base/gaps.ts';
import type { StoredTensor } from '../../formats/checkpoint-format.ts';
import { placeOf, type TensorTable } from './read-headers.ts';

/** The checkpoint, sorted out. */
export interface MatchedTensors {
  /** By weight name, in stacking order. */
  readonly sources: ReadonlyMap<string, readonly TensorSource[]>;
  readonly unused: LoadPlan['unusedTensors'];
}

/** Prefix under which a causal model keeps its decoder; base models are saved without it. */
const DECODER_PREFIX = 'model.';

const ROTARY_BUFFER = 'a buffer of old transformers versions; computed from rope_theta instead';
const CAUSAL_MASK = 'a buffer of old transformers versions: the causal mask, which attention here has by itself';
const CACHE_SCALE = 'scales the keys and values of an FP8 cache; the cache here is not FP8';

/** Tensors that may be left out wherever they stand, each with its shape and its reason. The only exceptions. */
const HARMLESS: readonly { readonly name: RegExp; readonly shape: RegExp; readonly reason: string }[] = [
  { name: /(^|\.)rotary_emb\.(original_)?inv_freq$/, shape: /^/, reason: ROTARY_BUFFER },
  { name: /(^|\.)rotary_emb\.(cos|sin)_cached$/, shape: /^/, reason: ROTARY_BUFFER },
  { name: /(^|\.)(self_)?attn\.bias$/, shape: /^1,1,(\d+),\1$/, reason: CAUSAL_MASK },
  { name: /(^|\.)(self_)?attn\.masked_bias$/, shape: /^1?$/, reason: CAUSAL_MASK },
  // vLLM and NVIDIA's Model Optimizer, compressed-tensors: one number for a layer. A weight_scale or
  // input_scale is another thing: it belongs to a quantised matrix, and nothing here excuses it.
  { name: /(^|\.)self_attn\.(attn\.|[kv]_proj\.)?(q|k|v|kv|prob)_scale$/, shape: /^1?(,1)*$/, reason: CACHE_SCALE },
  { name: /(^|\.)self_attn\.[kv]_proj\.output_scale$/, shape: /^1?$/, reason: CACHE_SCALE },
];

const HEAD = /(^|\.)lm_head\.weight$/;

/** How many names a message holds; `detail` has all. */
const NAMES_IN_MESSAGE = 5;

/** @throws LoadError `tensor_missing`, `tensor_shape_mismatch`, `unsupported_dtype`, `unsupported_architecture` */
export function matchTensors(specs: readonly WeightSpec[], table: TensorTable, model: DecoderSpec): MatchedTensors {
  const wanted = specs.flatMap((spec) => spec.sources);
  const toFileName = findNaming(specs, table);
  const find = ({ tensor, orElse }: SourceSpec): StoredTensor | undefined =>
    table.get(toFileName(tensor)) ?? (orElse === undefined ? undefined : table.get(toFileName(orElse)));

  const missing = wanted.filter((source) => !find(source)).map(({ tensor }) => toFileName(tensor));
  if (missing.length > 0) {
    const what = `${missing.length} of ${wanted.length} are missing`;
    throw fault('tensor_missing', what, missing, { names: missing }, explainMissing(missing, model));
  }
  const located = wanted.map((source) => ({ source, found: find(source) as StoredTensor }));
  checkShapes(located);
  checkDtypes(located);

  const used = new Set(located.map(({ found }) => found.name));
  const unused = [...table.values()].filter(({ name }) => !used.has(name));
  return {
    sources: new Map(
      specs.map((spec) => [spec.name, spec.sources.map((source) => toSource(source, find(source) as StoredTensor))]),
    ),
    unused: explainUnused(unused, model),
  };
}

/** A head that gives scores, where a language model has its lm_head. */
const OTHER_HEAD = /^(model\.)?(score|classifier|reward_head|value_head|regression_head|qa_outputs)\./;

/**
 * For a config that does not say what its model is for: a head for scores, and none for text.
 * @throws LoadError `unsupported_architecture`
 */
export function refuseOtherHead(table: TensorTable): void {
  const heads = [...table.keys()].filter((name) => OTHER_HEAD.test(name));
  if (heads.length === 0 || table.has('lm_head.weight')) return;
  const what = 'The checkpoint has a head that gives scores, as classifiers and reward models have, and none for text';
  throw fault('unsupported_architecture', what, heads, { names: heads });
}

/** Canonical name → name in this checkpoint: the one naming under which all are found, else the canonical one. */
export function findNaming(specs: readonly WeightSpec[], table: TensorTable): (name: string) => string {
  const namings: readonly ((name: string) => string)[] = [
    (name) => name,
    (name) => (name.startsWith(DECODER_PREFIX) ? name.slice(DECODER_PREFIX.length) : name),
    (name) => DECODER_PREFIX + name,
  ];
  const wanted = specs.flatMap(({ sources }) => sources);
  const complete = namings.find((toFileName) =>
    wanted.every(({ tensor, orElse = tensor }) => table.has(toFileName(tensor)) || table.has(toFileName(orElse))),
  );
  return complete ?? ((name) => name);
}

function checkShapes(located: readonly { source: SourceSpec; found: StoredTensor }[]): void {
  const wrong = located
    .filter(({ source, found }) => source.shape.join() !== found.shape.join())
    .map(({ source, found }) => ({
      tensor: found.name,
      file: placeOf(found).file,
      expected: source.shape,
      found: found.shape,
    }));
  if (wrong.length === 0) return;
  const lines = wrong.map((w) => `${w.tensor} is [${w.found.join(', ')}], not [${w.expected.join(', ')}]`);
  throw fault('tensor_shape_mismatch', `${wrong.length} differ`, lines, { tensors: wrong });
}

function checkDtypes(located: readonly { found: StoredTensor }[]): void {
  const wrong = located
    .filter(({ found }) => found.codec === null)
    .map(({ found }) => ({ tensor: found.name, file: placeOf(found).file, dtype: found.storedAs }));
  if (wrong.length === 0) return;
  const lines = wrong.map(({ tensor, dtype }) => `${tensor} is ${dtype}`);
  const what = `Only F32, F16 and BF16 can be loaded, but ${wrong.length} tensors are something else`;
  throw fault('unsupported_dtype', what, lines, { tensors: wrong });
}

function toSource({ padding }: SourceSpec, tensor: StoredTensor): TensorSource {
  const { name, codec, shape } = tensor;
  assert(codec, `${name} has a codec`); // checkDtypes
  const rowCount = countSpread(padding?.rows ?? null, shape[0] ?? 1);
  return {
    ...(padding ? { padding: { ...padding, rowCount, firstRow: 0 } } : {}),
    ...placeOf(tensor),
    tensor: name,
    codec,
    shape,
  };
}

/**
 * A tensor inside a layer that the graph has but does not read would change every token: a bias that config.json denies, a norm
 * of a newer family. Such a checkpoint loads, and then answers wrongly; so it is refused.
 */
function explainUnused(unused: readonly StoredTensor[], model: DecoderSpec): LoadPlan['unusedTensors'] {
  const explained = unused.map((tensor) => ({ tensor: tensor.name, reason: findReason(tensor, model) }));
  const unknown = explained.filter(({ reason }) => reason === null).map(({ tensor }) => tensor);
  if (unknown.length > 0) {
    const what = `The layers hold ${unknown.length} tensors that ${model.modelType} does not have`;
    throw fault('unsupported_architecture', what, unknown, { modelType: model.modelType, names: unknown });
  }
  return explained.map(({ tensor, reason }) => ({ tensor, reason: reason ?? '' }));
}

function findReason({ name, shape }: StoredTensor, { head, layers, modelType }: DecoderSpec): string | null {
  const harmless = HARMLESS.find((known) => known.name.test(name) && known.shape.test(shape.join()));
  if (harmless) return harmless.reason;
  if (head.tied && HEAD.test(name)) return 'config.json ties it to the token embedding, which holds the same';
  const layer = /(?:^|\.)layers\.(\d+)\./.exec(name)?.[1];
  if (layer === undefined) return `outside of the decoder: ${modelType} does not read it`;
  return Number(layer) >= layers.length ? `beyond the ${layers.length} layers that config.json states` : null;
}

/** What a checkpoint without a head needs to hear. */
function explainMissing(missing: readonly string[], { head }: DecoderSpec): string {
  if (head.tied || !missing.some((name) => HEAD.test(name))) return '';
  return ' The head is a tensor of its own, because tie_word_embeddings is false or absent in config.json.';
}

function fault(
  code: ErrorCode,
  what: string,
  names: readonly string[],
  detail: Record<string, unknown>,
  advice = '',
): LoadError {
  const more = names.length > NAMES_IN_MESSAGE ? ` and ${names.length - NAMES_IN_MESSAGE} more` : '';
  const listed = names.slice(0, NAMES_IN_MESSAGE).join('; ');
  return new LoadError(code, { message: `${what}: ${listed}${more}.${advice}`, detail });
}
