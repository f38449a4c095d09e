/**
 * The choices of a plan: device and dtype. Pure functions, each with its reason in words.
 */
import { LoadError } from '../../contract/errors.ts';
import type { Device, Dtype } from '../../contract/plan.ts';
import { FP32_MAX_BYTES, Q8_MAX_BYTES } from './auto-sizes.ts';
import type { Choice } from './choose-context.ts';
import type { DeviceLimits } from './device-limits.ts';
import { needsFloat16 } from './encoding.ts';
import type { ModelSizing } from './size-model.ts';

/** All that a choice of dtype goes by. */
export interface DtypeQuestion {
  readonly requested: Dtype | 'auto';
  readonly device: Device;
  readonly sizeOf: (dtype: Dtype) => DtypeSize;
  /** The device that could be asked for instead, and what the dtypes would take there. */
  readonly elsewhere: { readonly device: Device; readonly sizeOf: (dtype: Dtype) => DtypeSize } | null;
}

type DtypeSize = Pick<ModelSizing, 'weightBytes' | 'deviceBytes' | 'obstacle'>;

/** Every dtype, in the order in which they are listed. */
export const ALL_DTYPES: readonly Dtype[] = ['fp32', 'fp16', 'q8', 'q4', 'q4f16'];

const EMULATED = 'The GPU of this browser is emulated on the CPU';

/**
 * What `auto` goes through, from what it prefers to what takes least. fp16 is not among them: q8 takes half of its bytes and
 * is as good. q4f16 goes before q4 where the GPU computes in float16: its KV cache and its scales take half, and what float16
 * rounds off is far below what 4 bits do. (The residual stream and the norms are float32 in every dtype.)
 */
const AUTO_ORDER: readonly Dtype[] = ['fp32', 'q8', 'q4f16', 'q4'];

/**
 * The device. One that is left open is the GPU, unless that is software: on SwiftShader a load of 2 M parameters took 17 s and
 * a token 308 ms, against 1 s and 10 ms on WebAssembly.
 * @param absence why there are no limits
 * @throws LoadError `no_adapter` where WebGPU was asked for and there is none
 */
export function chooseDevice(
  requested: Device | 'auto',
  limits: DeviceLimits | null,
  absence: string | null = null,
): Choice<Device> {
  const why = absence ?? 'This browser has no WebGPU adapter.';
  switch (requested) {
    case 'auto':
      if (limits === null) return { value: 'wasm', reason: why };
      if (limits.isSoftware) return { value: 'wasm', reason: `${EMULATED}, where WebAssembly is many times faster.` };
      return { value: 'webgpu', reason: 'This browser has a WebGPU adapter.' };
    case 'webgpu':
      if (limits) return { value: 'webgpu', reason: 'As requested.' };
      throw new LoadError('no_adapter', {
        message: `${why} The device "webgpu" was requested; with "auto" or "wasm" the model would run without a GPU.`,
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

/** The other device, where the one that 'auto' preferred holds no dtype that may be taken, and the other does. */
export function chooseOtherDevice(preferred: Choice<Device>): Choice<Device> {
  return preferred.value === 'webgpu'
    ? { value: 'wasm', reason: 'It does not fit the GPU of this browser, but it fits WebAssembly.' }
    : {
        value: 'webgpu',
        reason: `${EMULATED}, which is slow; but WebAssembly cannot take this model as asked, and it can.`,
      };
}

/**
 * The number format.
 * @throws LoadError `invalid_argument`, `unsupported_dtype` (float16 where the device has none), `does_not_fit` (with what
 * would fit)
 */
export function chooseDtype(question: DtypeQuestion): Choice<Dtype> {
  const { requested, device, sizeOf } = question;
  if (requested === 'auto') {
    const wanted = choosePreferred(sizeOf);
    const candidates = AUTO_ORDER.slice(AUTO_ORDER.indexOf(wanted.value));
    const value = candidates.find((dtype) => sizeOf(dtype).obstacle === null);
    if (!value) throw doesNotFit('q4', question);
    const reason =
      value === wanted.value
        ? wanted.reason
        : `In ${wanted.value} it would not fit this device; ${value} is the next that does.`;
    const inQ4f16 = sizeOf('q4f16').obstacle;
    return { value, reason: value === 'q4' && inQ4f16 ? `${reason} In q4f16 it ${inQ4f16.sentence}.` : reason };
  }

  if (!ALL_DTYPES.includes(requested)) {
    throw new LoadError('invalid_argument', {
      message: `The dtype is ${JSON.stringify(requested)}; it must be auto, ${ALL_DTYPES.join(', ')}.`,
      detail: { dtype: requested },
    });
  }
  const { obstacle } = sizeOf(requested);
  if (obstacle === null) return { value: requested, reason: 'As requested.' };
  if (needsFloat16(requested) && obstacle.limitBytes === null) {
    const available = listFitting(sizeOf);
    throw new LoadError('unsupported_dtype', {
      message: `${requested} ${obstacle.sentence}. ${advise(available, question)}`,
      detail: { dtype: requested, device, available },
    });
  }
  throw doesNotFit(requested, question);
}

function choosePreferred(sizeOf: DtypeQuestion['sizeOf']): Choice<Dtype> {
  const inFp32 = sizeOf('fp32').weightBytes;
  if (inFp32 <= FP32_MAX_BYTES) {
    return { value: 'fp32', reason: `Only ${formatMB(inFp32)} in fp32: there is nothing to gain from less.` };
  }
  const inQ8 = sizeOf('q8').weightBytes;
  if (inQ8 <= Q8_MAX_BYTES) {
    return { value: 'q8', reason: `${formatMB(inQ8)} in q8, against ${formatMB(inFp32)} in fp32, nearly lossless.` };
  }
  const value = sizeOf('q4f16').obstacle === null ? 'q4f16' : 'q4';
  const inFourBits = formatMB(sizeOf(value).weightBytes);
  const reason = `${formatMB(inQ8)} in q8 is much for a browser tab; ${value} takes ${inFourBits}.`;
  return value === 'q4' ? { value, reason } : { value, reason: `${reason} This GPU computes in float16.` };
}

function doesNotFit(dtype: Dtype, question: DtypeQuestion): LoadError {
  const { device, sizeOf, elsewhere } = question;
  const { obstacle, weightBytes, deviceBytes } = sizeOf(dtype);
  const alternatives = listFitting(sizeOf);
  return new LoadError('does_not_fit', {
    message: `In ${dtype} it ${obstacle?.sentence ?? 'is too large'}. ${advise(alternatives, question)}`,
    detail: {
      dtype,
      device,
      neededBytes: obstacle?.neededBytes ?? null,
      limitBytes: obstacle?.limitBytes ?? null,
      weightBytes,
      deviceBytes,
      alternatives,
      elsewhere: elsewhere && { device: elsewhere.device, alternatives: listFitting(elsewhere.sizeOf) },
    },
  });
}

function advise(alternatives: readonly Dtype[], { device, elsewhere }: DtypeQuestion): string {
  const there = elsewhere ? listFitting(elsewhere.sizeOf) : [];
  const here = alternatives.length > 0 ? `These dtypes would fit: ${alternatives.join(', ')}.` : '';
  const other =
    elsewhere && there.length > 0 ? `On the device "${elsewhere.device}" ${there.join(', ')} would fit.` : '';
  return (
    [here, other].filter(Boolean).join(' ') ||
    `No dtype of this model would fit "${device}", nor any other device here.`
  );
}

function listFitting(sizeOf: DtypeQuestion['sizeOf']): readonly Dtype[] {
  return ALL_DTYPES.filter((dtype) => sizeOf(dtype).obstacle === null);
}

function formatMB(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}
