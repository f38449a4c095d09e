/**
 * Reads the tiny checkpoints of test/fixtures/models/ whole, as float32: independent of src/formats, so that a mistake there
 * does not hide one here.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Checkpoint {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>;
}

const MODELS = fileURLToPath(new URL('../../../fixtures/models/', import.meta.url));

export function readCheckpoint(name: string, folder = MODELS): Checkpoint {
  const root = `${folder}/${name}`;
  const tensors = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  for (const file of readdirSync(root).filter((entry) => entry.endsWith('.safetensors'))) {
    const bytes = readFileSync(`${root}/${file}`);
    const headerLength = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<string, Entry>;
    for (const [tensor, entry] of Object.entries(header)) {
      if (tensor === '__metadata__') continue;
      const [start, end] = entry.data_offsets;
      const data = bytes.subarray(8 + headerLength + start, 8 + headerLength + end);
      tensors.set(tensor, { shape: entry.shape, values: toFloat32(data, entry.dtype) });
    }
  }
  return { config: JSON.parse(readFileSync(`${root}/config.json`, 'utf8')) as Checkpoint['config'], tensors };
}

/** Prompts with the logits (offsets count numbers, not bytes) that transformers computed in float32, if they have been recorded. */
export interface Reference {
  readonly prompts: readonly { readonly ids: readonly number[]; readonly logits: Float32Array }[];
  /** Logits at every position of `ids`: [ids, vocab]. */
  readonly scoring: { readonly ids: readonly number[]; readonly logits: Float32Array };
  readonly greedy: { readonly prompt: readonly number[]; readonly ids: readonly number[] };
}

const REFERENCES = fileURLToPath(new URL('../../../fixtures/reference/', import.meta.url));

export function readReference(name: string, folder = REFERENCES): Reference {
  const json = JSON.parse(readFileSync(`${folder}/${name}.json`, 'utf8')) as RecordedReference;
  const file = readFileSync(`${folder}/${name}.f32`);
  const logits = (offset: number, length: number): Float32Array =>
    Float32Array.from({ length }, (_, index) => file.readFloatLE(4 * (offset + index)));
  return {
    prompts: json.prompts.map((prompt) => ({
      ids: prompt.inputIds,
      logits: logits(prompt.logits.offset, prompt.logits.length),
    })),
    scoring: {
      ids: json.scoring.inputIds,
      logits: logits(
        json.scoring.logits.offset,
        json.scoring.logits.shape.reduce((product, dim) => product * dim, 1),
      ),
    },
    greedy: { prompt: json.greedy.inputIds, ids: json.greedy.ids },
  };
}

export function hasReference(name: string): boolean {
  return existsSync(`${REFERENCES}/${name}.json`);
}

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

interface RecordedReference {
  readonly prompts: { inputIds: number[]; logits: { offset: number; length: number } }[];
  readonly scoring: { inputIds: number[]; logits: { offset: number; shape: number[] } };
  readonly greedy: { inputIds: number[]; ids: number[] };
}

function toFloat32(data: Buffer, dtype: string): Float32Array {
  if (dtype === 'F32') return Float32Array.from({ length: data.length / 4 }, (_, i) => data.readFloatLE(4 * i));
  const halves = Array.from({ length: data.length / 2 }, (_, i) => data.readUInt16LE(2 * i));
  if (dtype === 'F16') return Float32Array.from(halves, halfToNumber);
  if (dtype !== 'BF16') throw new Error(`no test checkpoint is in ${dtype}`);
  const bits = Uint32Array.from(halves, (half) => half * 65_536);
  return new Float32Array(bits.buffer);
}

/** IEEE 754 binary16. */
export function halfToNumber(half: number): number {
  const sign = half >= 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const fraction = (half & 1023) / 1024;
  if (exponent === 0) return sign * fraction * 2 ** -14;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction) * 2 ** (exponent - 15);
}
