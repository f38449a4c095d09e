/**
 * The choices of a plan: device, context length, dtype. Pure functions, each with its reason in words.
 */
import { LoadError } from '../../contract/errors.ts';
import type { Device, Dtype } from '../../contract/plan.ts';
import type { DeviceLimits } from './device-limits.ts';
import { needsFloat16 } from './encoding.ts';

/** A choice and a sentence that says why. */
export interface Choice<T> {
  readonly value: T;
  readonly reason: string;
}

/** What a dtype would take, in bytes. */
export interface DtypeCost {
  readonly weightBytes: number;
  readonly largestBufferBytes: number;
  readonly kvCacheBytes: number;
}

/** Longer contexts cost memory that most conversations never touch; a request may ask for more. */
const DEFAULT_CONTEXT_TOKENS = 2048;

/** Up to here full precision costs nothing that anybody notices. */
const FP32_MAX_BYTES = 64 * 2 ** 20;

/** Up to here 8 bits fit nearly every GPU; beyond, memory matters more than the last bit of quality. */
const Q8_MAX_BYTES = 2 ** 30;

/** wasm32 addresses 4 GiB, of which code, activations and the copies at the time of loading take their part. */
const WASM_MAX_BYTES = 3.5 * 2 ** 30;

const AUTO_ORDER: readonly Dtype[] = ['fp32', 'q8', 'q4'];
const ALL_DTYPES: readonly Dtype[] = ['fp32', 'fp16', 'q8', 'q4', 'q4f16'];

/** @throws LoadError `no_adapter` where WebGPU was asked for and there is none */
export function chooseDevice(requested: Device | 'auto', limits: DeviceLimits | null): Choice<Device> {
  switch (requested) {
    case 'auto':
      return limits
        ? { value: 'webgpu', reason: 'This browser has a WebGPU adapter.' }
        : { value: 'wasm', reason: 'This browser has no WebGPU adapter.' };
    case 'webgpu':
      if (limits) return { value: 'webgpu', reason: 'As requested.' };
      throw new LoadError('no_adapter', {
        message: 'The device "webgpu" was requested; with "auto" or "wasm" the model would run without a GPU.',
      });
    case 'wasm':
      return { value: 'wasm', reason: 'As requested.' };
    default:
      throw new LoadError('invalid_argument', {
        message: `The device is ${JSON.stringify(requested)}; it must be auto, webgpu or wasm.`,
        detail: { device: requested satisfies never },
      });
  }
}

/**
 * Tokens of the KV cache: what was asked for or a default, at most what the checkpoint was made for, and at most what one
 * buffer holds (`kvBufferBytesPerToken`: one layer's keys).
 * @throws LoadError `invalid_argument`
 */
export function chooseContextTokens(
  requested: number | null,
  maxContextTokens: number,
  kvBufferBytesPerToken: number,
  limits: DeviceLimits | null,
): number {
  if (requested !== null && !(Number.isSafeInteger(requested) && requested > 0)) {
    throw new LoadError('invalid_argument', {
      message: `contextTokens is ${requested}; it must be a whole number above 0.`,
      detail: { contextTokens: requested },
    });
  }
  const inOneBuffer = limits ? Math.floor(limits.maxBufferBytes / kvBufferBytesPerToken) : Infinity;
  return Math.max(1, Math.min(requested ?? DEFAULT_CONTEXT_TOKENS, maxContextTokens, inOneBuffer));
}

/**
 * The number format.
 * @throws LoadError `unsupported_dtype` (float16 where the device has none), `does_not_fit` (with what would fit)
 */
export function chooseDtype(
  requested: Dtype | 'auto',
  device: Device,
  limits: DeviceLimits | null,
  costOf: (dtype: Dtype) => DtypeCost,
): Choice<Dtype> {
  const computes = (dtype: Dtype): boolean =>
    !needsFloat16(dtype) || (device === 'webgpu' && limits?.hasFloat16 === true);
  const fits = (dtype: Dtype): boolean => findObstacle(costOf(dtype), device, limits) === null;

  if (requested === 'auto') {
    const wanted = choosePreferred(costOf);
    const candidates = AUTO_ORDER.slice(AUTO_ORDER.indexOf(wanted.value));
    const value = candidates.find(fits);
    if (value === wanted.value) return wanted;
    if (value) return { value, reason: `${wanted.reason} But only ${value} fits this device.` };
    throw doesNotFit(
      'q4',
      costOf('q4'),
      device,
      limits,
      ALL_DTYPES.filter((dtype) => computes(dtype) && fits(dtype)),
    );
  }

  if (!ALL_DTYPES.includes(requested)) {
    throw new LoadError('invalid_argument', {
      message: `The dtype is ${JSON.stringify(requested)}; it must be auto, ${ALL_DTYPES.join(', ')}.`,
      detail: { dtype: requested },
    });
  }
  if (!computes(requested)) {
    const available = ALL_DTYPES.filter(computes);
    const lack = device === 'wasm' ? 'WebAssembly' : 'a GPU without the feature shader-f16';
    throw new LoadError('unsupported_dtype', {
      message: `${requested} computes in float16, which ${lack} cannot. Choose ${available.join(', ')}.`,
      detail: { dtype: requested, device, available },
    });
  }
  if (!fits(requested)) {
    const alternatives = ALL_DTYPES.filter((dtype) => computes(dtype) && fits(dtype));
    throw doesNotFit(requested, costOf(requested), device, limits, alternatives);
  }
  return { value: requested, reason: 'As requested.' };
}

function choosePreferred(costOf: (dtype: Dtype) => DtypeCost): Choice<Dtype> {
  const inFp32 = costOf('fp32').weightBytes;
  if (inFp32 <= FP32_MAX_BYTES) {
    return { value: 'fp32', reason: `Only ${formatMiB(inFp32)} in fp32: there is nothing to gain from less.` };
  }
  const inQ8 = costOf('q8').weightBytes;
  if (inQ8 <= Q8_MAX_BYTES) {
    return { value: 'q8', reason: `${formatMiB(inQ8)} in q8, against ${formatMiB(inFp32)} in fp32, nearly lossless.` };
  }
  const inQ4 = costOf('q4').weightBytes;
  return { value: 'q4', reason: `${formatMiB(inQ8)} in q8 is much for a browser tab; q4 takes ${formatMiB(inQ4)}.` };
}

interface Obstacle {
  readonly neededBytes: number;
  readonly limitBytes: number;
  readonly sentence: string;
}

function findObstacle(cost: DtypeCost, device: Device, limits: DeviceLimits | null): Obstacle | null {
  if (device === 'wasm') {
    const neededBytes = cost.weightBytes + cost.kvCacheBytes;
    if (neededBytes <= WASM_MAX_BYTES) return null;
    const sentence = `takes ${neededBytes} bytes, and WebAssembly has room for ${WASM_MAX_BYTES}`;
    return { neededBytes, limitBytes: WASM_MAX_BYTES, sentence };
  }
  const limitBytes = limits?.maxBufferBytes ?? Infinity;
  const neededBytes = cost.largestBufferBytes;
  if (neededBytes <= limitBytes) return null;
  return {
    neededBytes,
    limitBytes,
    sentence: `has a tensor of ${neededBytes} bytes, and this GPU binds ${limitBytes}`,
  };
}

function doesNotFit(
  dtype: Dtype,
  cost: DtypeCost,
  device: Device,
  limits: DeviceLimits | null,
  alternatives: readonly Dtype[],
): LoadError {
  const obstacle = findObstacle(cost, device, limits);
  const advice =
    alternatives.length > 0
      ? `These dtypes would fit: ${alternatives.join(', ')}.`
      : 'No dtype of this model would fit.';
  return new LoadError('does_not_fit', {
    message: `In ${dtype} it ${obstacle?.sentence ?? 'is too large'}. ${advice}`,
    detail: {
      dtype,
      device,
      neededBytes: obstacle?.neededBytes ?? null,
      limitBytes: obstacle?.limitBytes ?? null,
      weightBytes: cost.weightBytes,
      alternatives,
    },
  });
}

function formatMiB(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}
