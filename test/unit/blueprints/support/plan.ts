/**
 * A plan's weights and graph tensors, and their bytes, made the plainest way: what a blueprint's graph is tested with.
 */
import { computeRotary } from '../../../../src/blueprints/rotary/rotary.ts';
import type { Blueprint, SourceSpec, WeightSpec } from '../../../../src/blueprints/blueprint.ts';
import type { DecoderSpec } from '../../../../src/contract/decoder-spec.ts';
import type { CacheSpec } from '../../../../src/contract/caches.ts';
import type { Dtype, PlannedWeight, WeightEncoding, WeightTensors } from '../../../../src/contract/plan.ts';
import type { Checkpoint } from './checkpoint.ts';

export interface TestPlan {
  readonly weights: readonly PlannedWeight[];
  readonly caches: readonly CacheSpec[];
  readonly activationType: 'float32' | 'float16';
}

export function makePlan(blueprint: Blueprint, model: DecoderSpec, dtype: Dtype, contextTokens: number): TestPlan {
  const half = dtype === 'fp16' || dtype === 'q4f16';
  const weights: PlannedWeight[] = [];
  for (const spec of blueprint.listWeights(model, contextTokens)) {
    const encoding = chooseEncoding(spec, dtype);
    const { name, rows, cols } = spec;
    const isNarrow = half && spec.role !== 'norm';
    const float = isNarrow ? 'float16' : 'float32';
    const floatBytes = isNarrow ? 2 : 4;
    if (encoding === 'f32' || encoding === 'f16') {
      const buffer = { role: 'values', name, type: float, sizeBytes: rows * cols * floatBytes } as const;
      const isVector = spec.role === 'norm' || spec.role === 'headNorm' || spec.role === 'bias';
      const tensors = { values: { name, type: float, dims: isVector ? [cols] : [rows, cols], buffer: name } } as const;
      weights.push({ ...spec, sources: [], encoding, buffers: [buffer], tensors, part: null });
      continue;
    }
    const blockBytes = encoding === 'q8' ? 32 : 16;
    const blockCount = Math.ceil(cols / 32);
    const blocks = `${name}.blocks`;
    const scales = `${name}.scales`;
    const isLookedUp = spec.role === 'embedding' || spec.role === 'tiedEmbedding';
    const forProduct = { name: blocks, type: 'uint8', dims: [rows, blockCount, blockBytes], buffer: blocks } as const;
    const forLookUp = {
      name: `${name}.gather`,
      type: 'uint8',
      dims: [rows, blockCount * blockBytes],
      buffer: blocks,
    } as const;
    const tensors: WeightTensors = {
      blocks: spec.role === 'embedding' ? null : forProduct,
      gather: isLookedUp ? forLookUp : null,
      scales: { name: scales, type: float, dims: [rows, blockCount], buffer: scales },
    };
    weights.push({
      ...spec,
      sources: [],
      encoding,
      buffers: [
        { role: 'blocks', name: blocks, type: 'uint8', sizeBytes: rows * blockCount * blockBytes },
        { role: 'scales', name: scales, type: float, sizeBytes: rows * blockCount * floatBytes },
      ],
      tensors,
      part: null,
    });
  }
  const activationType = half ? 'float16' : 'float32';
  return { weights, activationType, caches: blueprint.listCaches(model, activationType) };
}

/** The bytes of every buffer; `dequantised` gives what quantised weights stand for, by weight name. */
export function fillPlan(plan: TestPlan, specs: readonly WeightSpec[], model: DecoderSpec, checkpoint: Checkpoint) {
  const buffers = new Map<string, Uint8Array>();
  const dequantised = new Map<string, Float32Array>();
  specs.forEach((spec, index) => {
    const weight = plan.weights[index] as PlannedWeight;
    const values = readValues(spec, model, checkpoint);
    if (weight.encoding === 'f32' || weight.encoding === 'f16') {
      buffers.set(spec.name, toBytes(values, weight.encoding === 'f16'));
      return;
    }
    const scaleHalf = weight.buffers[1]?.type === 'float16';
    const { blocks, scales, restored } = quantise(values, spec.rows, spec.cols, weight.encoding === 'q8' ? 8 : 4);
    buffers.set(`${spec.name}.blocks`, blocks);
    buffers.set(`${spec.name}.scales`, toBytes(scales, scaleHalf));
    dequantised.set(spec.name, restored);
  });
  return { buffers, dequantised };
}

function chooseEncoding(spec: WeightSpec, dtype: Dtype): WeightEncoding {
  const float = dtype === 'fp16' || dtype === 'q4f16' ? 'f16' : 'f32';
  if (spec.role === 'norm') return 'f32';
  if (dtype === 'fp32' || dtype === 'fp16') return float;
  if (['bias', 'headNorm', 'rotary'].includes(spec.role)) return float;
  return dtype === 'q8' ? 'q8' : 'q4';
}

export function readValues(spec: WeightSpec, model: DecoderSpec, checkpoint: Checkpoint): Float32Array {
  if (spec.computed !== null) {
    const rotary = model.rotary[spec.computed.rotary];
    if (!rotary) throw new Error('no such rotary embedding');
    const tables = computeRotary(rotary, spec.rows);
    return spec.computed.kind === 'rotary-cos' ? tables.cos : tables.sin;
  }
  const values = new Float32Array(spec.rows * spec.cols);
  let filled = 0;
  for (const source of spec.sources) {
    const tensor = checkpoint.tensors.get(source.tensor);
    if (!tensor) throw new Error(`the checkpoint has no ${source.tensor}`);
    if (JSON.stringify(tensor.shape) !== JSON.stringify(source.shape)) {
      throw new Error(`${source.tensor} is [${tensor.shape.join()}], not [${source.shape.join()}]`);
    }
    const padded = padHeads(source, tensor.values);
    values.set(padded, filled);
    filled += padded.length;
  }
  if (filled !== values.length) throw new Error(`${spec.name} is not filled by its sources`);
  return values;
}

/** Rows and columns with the zeros between them, the plainest way: an array of rows, and arrays of zeros put in between. */
function padHeads({ shape, padding }: SourceSpec, values: Float32Array): Float32Array {
  if (!padding) return values;
  const [rowCount = 1, cols = 1] = shape;
  const rows = Array.from({ length: rowCount }, (_, row) => [...values.subarray(row * cols, (row + 1) * cols)]);
  const insert = <T>(items: T[], gaps: { run: number; zeros: number } | null, zero: T): T[] =>
    items.flatMap((item, index) =>
      gaps && (index + 1) % gaps.run === 0 ? [item, ...Array.from({ length: gaps.zeros }, () => zero)] : [item],
    );
  const wide = rows.map((row) => insert(row, padding.cols, 0));
  const zeroRow = Array.from({ length: wide[0]?.length ?? 0 }, () => 0);
  return Float32Array.from(insert(wide, padding.rows, zeroRow).flat());
}

/** Symmetric blocks of 32: value = (code − zero) × scale, zero = 8 or 128; 4-bit codes low nibble first. */
export function quantise(values: Float32Array, rows: number, cols: number, bits: 4 | 8) {
  const blockCount = Math.ceil(cols / 32);
  const blockBytes = bits * 4;
  const zero = 2 ** (bits - 1);
  const blocks = new Uint8Array(rows * blockCount * blockBytes);
  const scales = new Float32Array(rows * blockCount);
  const restored = new Float32Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blockCount; block++) {
      const start = row * cols + block * 32;
      const slice = values.subarray(start, Math.min(start + 32, (row + 1) * cols));
      const scale = Math.fround(slice.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / (zero - 1));
      scales[row * blockCount + block] = scale;
      for (let index = 0; index < 32; index++) {
        const value = slice[index];
        const code = value === undefined || scale === 0 ? zero : Math.round(value / scale) + zero;
        if (value !== undefined) restored[start + index] = (code - zero) * scale;
        const at = (row * blockCount + block) * blockBytes;
        if (bits === 8) blocks[at + index] = code;
        else
          blocks[at + Math.floor(index / 2)] =
            (blocks[at + Math.floor(index / 2)] ?? 0) + (index % 2 ? code * 16 : code);
      }
    }
  }
  return { blocks, scales, restored };
}

function toBytes(values: Float32Array, half: boolean): Uint8Array {
  if (!half) return new Uint8Array(values.slice().buffer);
  const halves = Uint16Array.from(values, numberToHalf);
  return new Uint8Array(halves.buffer);
}

/** IEEE 754 binary16, ties to even; overflow becomes infinity. */
export function numberToHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === 0) return sign;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const steps = size / 2 ** (exponent - 10);
  const floor = Math.floor(steps);
  const rounded = steps - floor > 0.5 || (steps - floor === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  return sign + Math.min(rounded + (exponent + 14) * 1024, 0x7c00);
}
