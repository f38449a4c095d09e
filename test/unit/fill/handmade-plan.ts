/**
 * A small plan over two checkpoint files in memory: stacked sources out of file order, odd lengths, a computed table.
 */
import type { DecoderSpec } from '../../../src/contract/decoder-spec.ts';
import { unflatten } from '../blueprints/support/flat-spec.ts';
import type { GraphTensor, PlannedWeight, CodecId, TensorSource, WeightEncoding } from '../../../src/contract/plan.ts';
import { concat } from '../formats/write-safetensors.ts';
import { gaussian, toBytes } from './reference.ts';

/** Where a weight's sources lie, and what it becomes. */
export interface HandmadeWeight {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly encoding: WeightEncoding;
  readonly scaleType?: 'float32' | 'float16';
  /** In stacking order; `shape` [rows, cols] or [length]. */
  readonly sources: readonly { readonly tensor: string; readonly shape: readonly number[] }[];
}

export interface Handmade {
  readonly plan: {
    readonly weights: readonly PlannedWeight[];
    readonly weightFiles: readonly { readonly path: string; readonly sizeBytes: number }[];
    readonly spec: DecoderSpec;
    readonly contextTokens: number;
  };
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

const SPEC = unflatten({
  modelType: 'llama',
  vocabSize: 8,
  hiddenSize: 8,
  intermediateSize: 8,
  layerCount: 1,
  headCount: 1,
  kvHeadCount: 1,
  headDim: 6,
  paddedHeadDim: 6,
  rmsNormEpsilon: 1e-6,
  tiedEmbeddings: true,
  qkvBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  rotary: { theta: 10_000, scaling: { type: 'none' } },
  hasQueryKeyNorm: false,
  maxContextTokens: 64,
});

const CONTEXT_TOKENS = 5;

/** `count` values of a tensor as a checkpoint holds them; the same for the same seed. */
export type MakeBytes = (codec: CodecId, count: number, seed: number) => Uint8Array<ArrayBuffer>;

const makeGaussian: MakeBytes = (codec, count, seed) => {
  if (codec === 'f16') throw new Error('there is no reference that writes f16');
  return toBytes(gaussian(count, seed), codec);
};

/** Tensors are laid into the files by name, alternating, so that stacks are split over files and out of order. */
export function makePlan(
  weights: readonly HandmadeWeight[],
  codec: CodecId = 'bf16',
  makeBytes: MakeBytes = makeGaussian,
): Handmade {
  const paths = ['b-first.safetensors', 'a-second.safetensors'];
  const contents = paths.map((_, i) => [new Uint8Array(11 + i).fill(0xee)]); // a header of odd length
  const lengths = contents.map((parts) => parts[0]?.length ?? 0);
  const sources = new Map<string, TensorSource>();
  const tensors = weights.flatMap((weight) => weight.sources).sort((a, b) => (a.tensor < b.tensor ? -1 : 1));
  tensors.forEach(({ tensor, shape }, i) => {
    const start = lengths[i % 2] as number;
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes = makeBytes(codec, count, i + 1);
    contents[i % 2]?.push(bytes);
    lengths[i % 2] = start + bytes.length;
    sources.set(tensor, { file: paths[i % 2] as string, tensor, codec, shape, start, end: start + bytes.length });
  });
  const files = new Map(paths.map((path, i) => [path, concat(contents[i] ?? [])]));
  const table = { rows: CONTEXT_TOKENS, cols: 3, encoding: 'f32', sources: [] } as const;
  return {
    files,
    plan: {
      contextTokens: CONTEXT_TOKENS,
      spec: SPEC,
      weightFiles: paths.map((path) => ({ path, sizeBytes: files.get(path)?.length ?? 0 })),
      weights: [
        ...(['cos', 'sin'] as const).map((kind): PlannedWeight => ({
          ...table,
          name: `rotary.${kind}`,
          buffers: [{ role: 'values', name: `rotary.${kind}`, type: 'float32', sizeBytes: CONTEXT_TOKENS * 3 * 4 }],
          tensors: {
            values: { name: `rotary.${kind}`, type: 'float32', dims: [CONTEXT_TOKENS, 3], buffer: `rotary.${kind}` },
          },
          layer: null,
          computed: { kind: `rotary-${kind}`, rotary: 'rotary' },
          part: null,
        })),
        ...weights.map((weight): PlannedWeight => ({
          name: weight.name,
          rows: weight.rows,
          cols: weight.cols,
          encoding: weight.encoding,
          sources: weight.sources.map(({ tensor }) => sources.get(tensor) as TensorSource),
          buffers: listBuffers(weight),
          tensors: listTensors(weight),
          layer: null,
          computed: null,
          part: null,
        })),
      ],
    },
  };
}

function listBuffers({ name, rows, cols, encoding, scaleType = 'float32' }: HandmadeWeight): PlannedWeight['buffers'] {
  if (encoding === 'f32') return [{ role: 'values', name, type: 'float32', sizeBytes: rows * cols * 4 }];
  if (encoding === 'f16') return [{ role: 'values', name, type: 'float16', sizeBytes: rows * cols * 2 }];
  const blockCount = rows * Math.ceil(cols / 32);
  return [
    { role: 'blocks', name: `${name}.blocks`, type: 'uint8', sizeBytes: blockCount * (encoding === 'q8' ? 32 : 16) },
    {
      role: 'scales',
      name: `${name}.scales`,
      type: scaleType,
      sizeBytes: blockCount * (scaleType === 'float16' ? 2 : 4),
    },
  ];
}

/** As a tied embedding: the blocks are read twice. */
function listTensors(weight: HandmadeWeight): PlannedWeight['tensors'] {
  const [first, second] = listBuffers(weight).map(({ name, type }) => ({ name, type, dims: [], buffer: name }));
  if (!first || !second) return { values: first as GraphTensor };
  return { blocks: first, gather: { ...first, name: `${weight.name}.gather` }, scales: second };
}

export const computeRotary = (): { cos: Float32Array; sin: Float32Array } => ({
  cos: Float32Array.from({ length: CONTEXT_TOKENS * 3 }, (_, i) => Math.cos(i)),
  sin: Float32Array.from({ length: CONTEXT_TOKENS * 3 }, (_, i) => Math.sin(i)),
});
