/**
 * The token kernels alone on a page: `window.choose` runs them on given logits.
 */
import type { ChoiceRule } from '../../../../src/runtime/decoder.ts';
import { createTokenChooser } from '../../../../src/runtime/gpu/token-chooser.ts';
import { openGpu } from '../../../../src/runtime/gpu/device.ts';

/** Choices from one row of logits, each from a fresh start. */
export interface ChooseRequest {
  /** JSON has no infinities: null stands for -Infinity. */
  readonly logits: readonly (number | null)[];
  readonly rule: ChoiceRule;
  readonly seenIds: readonly number[];
  readonly forbid: boolean;
  readonly draws: readonly number[];
}

/** What came back, and what the last choice left for the next run of a model. */
export interface ChooseResult {
  readonly ids: number[];
  readonly next: { readonly inputIds: number[]; readonly seqlensK: number; readonly totalSequenceLength: number };
}

const POSITION = 41;

/** One device, whose compiled kernels all choices share. */
const opening = openGpu();
const errors: string[] = [];

async function choose({ logits, rule, seenIds, forbid, draws }: ChooseRequest): Promise<ChooseResult> {
  const gpu = await opening;
  const { device } = gpu;
  device.onuncapturederror = ({ error }) => errors.push(error.message);
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const make = (size: number): GPUBuffer => device.createBuffer({ size: Math.ceil(size / 16) * 16, usage });
  const step = {
    logits: make(logits.length * 4),
    inputIds: make(8),
    seqlensK: make(4),
    totalSequenceLength: make(4),
  };
  const chooser = await createTokenChooser(gpu, logits.length, step);
  device.queue.writeBuffer(
    step.logits,
    0,
    Float32Array.from(logits, (value) => value ?? -Infinity),
  );
  const pending = draws.map((draw) => {
    chooser.begin(seenIds, rule);
    return chooser.choose({ position: POSITION, draw, forbid });
  });
  const ids = await Promise.all(pending);
  const inputIds = await read(device, step.inputIds);
  const [seqlensK = -1] = await read(device, step.seqlensK);
  const [totalSequenceLength = -1] = await read(device, step.totalSequenceLength);
  chooser.release();
  for (const buffer of Object.values(step)) buffer.destroy();
  if (errors.length > 0) throw new Error(errors.splice(0).join('\n'));
  return { ids, next: { inputIds: inputIds.slice(0, 2), seqlensK, totalSequenceLength } };
}

async function read(device: GPUDevice, source: GPUBuffer): Promise<number[]> {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = device.createBuffer({ size: 16, usage });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, staging, 0, 16);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  return [...new Uint32Array(staging.getMappedRange())];
}

declare global {
  interface Window {
    choose: typeof choose;
  }
}
window.choose = choose;
