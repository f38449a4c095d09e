/**
 * What a model takes on a device in one dtype: the layout of its weights, its context, its bytes, and what speaks against it.
 * Pure.
 *
 * In: a model's shape and weights, a device and a dtype. Out: {@link ModelSizing}. Guarantees: no weight buffer and no layer's
 * keys are larger than the device binds, unless the obstacle says so; what is said to fit may still find the device's memory
 * taken, which WebGPU does not tell: reserving finds out.
 */
import { countCacheBytes, growsWithTokens, largestCacheBytes } from '../../base/cache-layout.ts';
import type { WeightSpec } from '../../blueprints/blueprint.ts';
import type { CacheSpec } from '../../contract/caches.ts';
import type { DecoderSpec } from '../../contract/decoder-spec.ts';
import type { Device, Dtype, DtypeFit, LoadPlan } from '../../contract/plan.ts';
import { estimateActivationBytes } from './activations.ts';
import { type Choice, chooseContext, type ContextRequest } from './choose-context.ts';
import type { DeviceLimits } from './device-limits.ts';
import type { MemoryCeiling } from './memory-ceiling.ts';
import { chooseActivationType, layOutWeight, needsFloat16, type WeightLayout } from './encoding.ts';

/** Why a dtype cannot be taken, in numbers and in words that follow "In q8 it …". */
interface Obstacle {
  readonly neededBytes: number | null;
  readonly limitBytes: number | null;
  readonly sentence: string;
}

/** See the file's header. */
export interface ModelSizing {
  readonly dtype: Dtype;
  readonly context: Choice<number>;
  readonly maxContextTokens: number;
  readonly longestContextTokens: number;
  /** In graph order; each weight as one layout or as its parts. */
  readonly weights: readonly { readonly spec: WeightSpec; readonly layouts: readonly WeightLayout[] }[];
  readonly caches: readonly CacheSpec[];
  readonly parameterCount: number;
  readonly weightBytes: number;
  readonly scaleBytes: number;
  readonly kvBytesPerToken: number;
  readonly kvCacheBytes: number;
  /** See {@link LoadPlan.stateSnapshots}, and what they take together. */
  readonly stateSnapshots: number;
  readonly stateSnapshotBytes: number;
  readonly activationBytes: number;
  readonly deviceBytes: number;
  readonly obstacle: Obstacle | null;
}

/** A model, and what is asked of it. */
export interface SizingInput {
  readonly spec: DecoderSpec;
  /** `tableRows`: how many positions the rotary tables have. */
  readonly listWeights: (spec: DecoderSpec, tableRows: number) => readonly WeightSpec[];
  readonly listCaches: (spec: DecoderSpec, type: CacheSpec['type']) => readonly CacheSpec[];
  readonly requestedContext: ContextRequest;
  readonly limits: DeviceLimits | null;
  /** Conversations whose keys and values are held at once. */
  readonly conversations: number;
  readonly ceiling: MemoryCeiling | null;
  /** What a load saw that found the model to give wrong values in float16 on this GPU; null or left out where none did. */
  readonly float16Finding?: string | null;
}

/**
 * What the page itself, its scripts and the runtime hold under a {@link MemoryCeiling}: a tab that ran a model of 4 MB held 226
 * to 233 MB more than an empty one (Chromium, onnxruntime-web 1.31).
 */
const PAGE_BYTES = 256 * 2 ** 20;

/** wasm32 addresses 4 GiB, of which code, activations and the copies at the time of loading take their part. */
const WASM_MAX_BYTES = 3.5 * 2 ** 30;

/** wasm32 measures distances between pointers in 31 bits, so that its allocator gives no block of 2 GiB. */
const WASM_MAX_INITIALIZER_BYTES = 2 ** 31 - 2 ** 16;

/**
 * Copies of states for each conversation: before the last token of its newest prompt, and of the one before that, which is
 * where an edit of the last question leads back to.
 */
const SNAPSHOTS_PER_CONVERSATION = 2;

/** Fewer tokens than this are no conversation, whatever else fits. */
const MIN_CONTEXT_TOKENS = 64;

const NOMINAL_BYTES: Readonly<Record<Dtype, number>> = { fp32: 4, fp16: 2, q8: 1, q4: 0.5, q4f16: 0.5 };

/**
 * On WebAssembly the rotary tables are constants of the session, so that they have a row for every token that the cache may
 * ever grow to. Beyond this many bytes of them a longer context has to be asked for (65,536 tokens of heads of 32 values, 16,384
 * of 128): more than a CPU reads in a sitting.
 */
const WASM_MAX_TABLE_BYTES = 16 * 2 ** 20;

/** Sizes a model. @throws LoadError `invalid_argument` where the requested context is no count */
export function sizeModel(input: SizingInput, device: Device, dtype: Dtype): ModelSizing {
  const { spec: model, listWeights } = input;
  const valueBytes = needsFloat16(dtype) ? 2 : 4;
  const maxBufferBytes = device === 'wasm' ? WASM_MAX_INITIALIZER_BYTES : (input.limits?.maxBufferBytes ?? Infinity);
  const layOut = (tableRows: number): ModelSizing['weights'] =>
    listWeights(model, tableRows).map((spec) => ({ spec, layouts: layOutWeight(spec, dtype, maxBufferBytes) }));

  const caches = input.listCaches(model, chooseActivationType(dtype));
  const stateBytes = sumCacheBytes(caches, 0);
  const kvBytesPerToken = sumCacheBytes(caches, 1) - stateBytes;
  const widestTokenBytes = largestCacheBytes(caches.filter(growsWithTokens), 1);
  const { ceiling, conversations } = input;
  const rewindless = caches.filter(({ canRewind }) => !canRewind);
  const stateSnapshots = rewindless.length === 0 ? 0 : SNAPSHOTS_PER_CONVERSATION * conversations;
  const stateSnapshotBytes = stateSnapshots * sumCacheBytes(rewindless, 0);
  const fixedBytes = sumBytes(layOut(0));
  const bytesWithout = fixedBytes + stateBytes + stateSnapshotBytes;
  const tableRowBytes = sumBytes(layOut(1)) - fixedBytes;
  const activationBytesAtMost = estimateActivationBytes(model, model.maxContextTokens, valueBytes);
  const byDevice =
    device === 'wasm'
      ? {
          tokens: Math.floor((WASM_MAX_BYTES - bytesWithout) / (kvBytesPerToken + tableRowBytes)),
          cause: `besides the weights, WebAssembly has room for no more (${kvBytesPerToken} bytes a token)`,
        }
      : {
          tokens: Math.floor(maxBufferBytes / widestTokenBytes),
          cause: `one layer's keys take ${widestTokenBytes} bytes a token, and this GPU binds ${maxBufferBytes} at once`,
        };
  // A cache that grows does so until an allocation fails; under a ceiling none does, and the page ends instead.
  const parkedStateBytes = (conversations - 1) * stateBytes;
  const kvBytesOfAll = conversations * kvBytesPerToken;
  const byCeiling = ceiling && {
    tokens: Math.floor(
      (ceiling.bytes - PAGE_BYTES - bytesWithout - parkedStateBytes - activationBytesAtMost) /
        (kvBytesOfAll + tableRowBytes),
    ),
    cause: `besides the weights and the page, ${ceiling.holder} has room for no more (${kvBytesOfAll} bytes a token for ${conversations} conversations)`,
  };
  const longest = byCeiling && byCeiling.tokens < byDevice.tokens ? byCeiling : byDevice;
  const { context, maxContextTokens } = chooseContext(input.requestedContext, model.maxContextTokens, {
    ...longest,
    unaskedTokens: device === 'wasm' ? Math.floor(WASM_MAX_TABLE_BYTES / tableRowBytes) : Infinity,
  });

  const weights = layOut(device === 'wasm' ? maxContextTokens : context.value);
  const buffers = weights.flatMap(({ layouts }) => layouts.flatMap((layout) => layout.buffers));
  const weightBytes = sumBytes(weights);
  const kvCacheBytes = sumCacheBytes(caches, context.value);
  const activationBytes = estimateActivationBytes(model, context.value, valueBytes);
  const minTokens = Math.min(MIN_CONTEXT_TOKENS, model.maxContextTokens);
  return {
    dtype,
    context,
    maxContextTokens,
    longestContextTokens: Math.max(0, Math.min(model.maxContextTokens, longest.tokens)),
    weights,
    caches,
    parameterCount: countParameters(weights.map(({ spec }) => spec)),
    weightBytes,
    scaleBytes: buffers.reduce((sum, { role, sizeBytes }) => sum + (role === 'scales' ? sizeBytes : 0), 0),
    kvBytesPerToken,
    kvCacheBytes,
    stateSnapshots,
    stateSnapshotBytes,
    activationBytes,
    deviceBytes: weightBytes + kvCacheBytes + stateSnapshotBytes + activationBytes,
    obstacle:
      findFloat16Obstacle(dtype, device, input) ??
      (device === 'wasm'
        ? findMemoryObstacle(
            weightBytes + stateBytes + stateSnapshotBytes + kvBytesPerToken * Math.min(minTokens, context.value),
          )
        : null) ??
      findBufferObstacle(buffers, maxBufferBytes) ??
      findCeilingObstacle(
        PAGE_BYTES +
          weightBytes +
          conversations * stateBytes +
          stateSnapshotBytes +
          activationBytesAtMost +
          kvBytesOfAll * minTokens,
        ceiling,
      ) ??
      (byDevice.tokens >= minTokens ? null : findContextObstacle(minTokens, widestTokenBytes, maxBufferBytes)),
  };
}

/** What a plan says of a dtype. */
export function toDtypeFit(sizing: ModelSizing): DtypeFit {
  return {
    parameterBytes: Math.ceil(sizing.parameterCount * NOMINAL_BYTES[sizing.dtype]),
    weightBytes: sizing.weightBytes,
    deviceBytes: sizing.deviceBytes,
    longestContextTokens: sizing.longestContextTokens,
    obstacle: sizing.obstacle?.sentence ?? null,
  };
}

/** The limits that a plan states. */
export function toPlannedLimits(device: Device, limits: DeviceLimits | null): LoadPlan['limits'] {
  if (device === 'wasm' || limits === null) return null;
  const { maxBufferBytes, simulated } = limits;
  return { maxBufferBytes, simulated };
}

function sumCacheBytes(caches: readonly CacheSpec[], tokens: number): number {
  return caches.reduce((sum, spec) => sum + countCacheBytes(spec, tokens), 0);
}

function sumBytes(weights: ModelSizing['weights']): number {
  let sum = 0;
  for (const { layouts } of weights) {
    for (const { buffers } of layouts) for (const { sizeBytes } of buffers) sum += sizeBytes;
  }
  return sum;
}

/** What the checkpoint holds: computed tables are no parameters, and a tied embedding counts once. */
function countParameters(specs: readonly WeightSpec[]): number {
  return specs
    .flatMap((spec) => spec.sources)
    .reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
}

function findFloat16Obstacle(
  dtype: Dtype,
  device: Device,
  { limits, float16Finding }: Pick<SizingInput, 'limits' | 'float16Finding'>,
): Obstacle | null {
  if (!needsFloat16(dtype)) return null;
  const obstruct = (why: string): Obstacle => {
    return { neededBytes: null, limitBytes: null, sentence: `computes in float16, ${why}` };
  };
  if (device === 'wasm') return obstruct('which WebAssembly cannot');
  if (!limits?.hasFloat16) return obstruct('which a GPU without the feature shader-f16 cannot');
  if (!float16Finding) return null;
  return obstruct(`in which this model gave wrong values on this GPU (${float16Finding.replace(/\.$/u, '')})`);
}

function findMemoryObstacle(neededBytes: number): Obstacle | null {
  if (neededBytes <= WASM_MAX_BYTES) return null;
  const sentence = `takes ${neededBytes} bytes, and WebAssembly has room for ${WASM_MAX_BYTES}`;
  return { neededBytes, limitBytes: WASM_MAX_BYTES, sentence };
}

function findCeilingObstacle(neededBytes: number, ceiling: MemoryCeiling | null): Obstacle | null {
  if (ceiling === null || neededBytes <= ceiling.bytes) return null;
  return {
    neededBytes,
    limitBytes: ceiling.bytes,
    sentence: `takes ${neededBytes} bytes with its cache, its intermediate values and the page, and ${ceiling.holder} ends a page that holds more than ${ceiling.bytes}`,
  };
}

/** Matrices were split: what is still too large has rows too long, or too many of them. */
function findBufferObstacle(
  buffers: readonly { readonly name: string; readonly sizeBytes: number }[],
  limitBytes: number,
): Obstacle | null {
  const worst = buffers.reduce((a, b) => (b.sizeBytes > a.sizeBytes ? b : a), { name: '', sizeBytes: 0 });
  if (worst.sizeBytes <= limitBytes) return null;
  return {
    neededBytes: worst.sizeBytes,
    limitBytes,
    sentence: `has a tensor that no split makes small enough: ${worst.name} takes ${worst.sizeBytes} bytes, and this device binds ${limitBytes}`,
  };
}

function findContextObstacle(minTokens: number, layerKeyBytes: number, limitBytes: number): Obstacle {
  const neededBytes = minTokens * layerKeyBytes;
  const sentence = `needs ${neededBytes} bytes for one layer's keys of ${minTokens} tokens, and this GPU binds ${limitBytes}`;
  return { neededBytes, limitBytes, sentence };
}
