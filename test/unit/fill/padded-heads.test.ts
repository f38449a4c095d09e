/**
 * Heads that the attention kernel cannot take, padded with zeros: every byte that the fill stage writes, against the checkpoint's
 * tensors padded the plainest way (one array after another), in every encoding, whole and in parts. That these numbers are
 * transformers' is shown in test/unit/blueprints/numbers.test.ts.
 */
import { flatten } from '../blueprints/support/flat-spec.ts';
import { describe, expect, it } from 'vitest';
import { findBlueprint } from '../../../src/blueprints/registry.ts';
import { computeRotary } from '../../../src/blueprints/rotary/rotary.ts';
import type { Dtype, LoadPlan, PlannedWeight } from '../../../src/contract/plan.ts';
import { createBufferMaker } from '../../../src/pipeline/fill/encode-whole.ts';
import { encodeRows } from '../../../src/pipeline/fill/kernels/encode-rows.ts';
import { listRowBlocks } from '../../../src/pipeline/fill/row-blocks.ts';
import { spreadBlock } from '../../../src/pipeline/fill/spread-block.ts';
import { readCheckpoint } from '../blueprints/support/checkpoint.ts';
import { readValues } from '../blueprints/support/plan.ts';
import { fill, openModel, planModel } from '../plan/model-on-disk.ts';

/** What the buffers of a weight should hold, by name. */
function expectBuffers(planned: LoadPlan, model: string): Map<string, Uint8Array> {
  const checkpoint = readCheckpoint(model);
  const { spec: decoder } = planned;
  const specs = findBlueprint(checkpoint.config).listWeights(decoder, planned.contextTokens);
  const buffers = new Map<string, Uint8Array>();
  for (const weight of planned.weights) {
    const spec = specs.find(({ name }) => name === (weight.part?.of ?? weight.name));
    if (!spec) throw new Error(`no weight ${weight.name}`);
    const { rows, cols, encoding } = weight;
    const start = (weight.part?.firstRow ?? 0) * cols;
    const values = readValues(spec, decoder, checkpoint).slice(start, start + rows * cols);
    const [first, second] = weight.buffers;
    const scaleType = second?.type === 'float16' ? 'float16' : 'float32';
    const encoded = encodeRows(new Uint8Array(values.buffer), 'f32', cols, rows, encoding, scaleType);
    if ('values' in encoded) buffers.set(first?.name ?? '', encoded.values);
    else buffers.set(first?.name ?? '', encoded.blocks).set(second?.name ?? '', encoded.scales);
  }
  return buffers;
}

/** Byte by byte, without the hundred times slower comparison that could show where they differ. */
const isSame = (found: Uint8Array | undefined, expected: Uint8Array): boolean =>
  found !== undefined && Buffer.compare(found, expected) === 0;

/** So few rows a buffer that parts begin within zeros, and that, for heads of 8, some are zeros only. */
const SMALLEST_LIMIT = { 'tiny-llama-head8': 1_100, 'tiny-mistral-head26': 1_100, 'tiny-qwen2-head100': 2_300 };

const MODELS = ['tiny-llama-head8', 'tiny-mistral-head26', 'tiny-qwen2-head100'] as const;
const DTYPES: readonly Dtype[] = ['fp32', 'fp16', 'q8', 'q4', 'q4f16'];

describe.each(MODELS)('%s: heads are padded to a multiple of 16', (model) => {
  const limits = [null, 4_096, SMALLEST_LIMIT[model]];
  it.each(DTYPES.flatMap((dtype) => limits.map((limit) => [dtype, limit] as const)))(
    '%s, %s bytes a buffer: every byte is that of the plainly padded tensors',
    async (dtype, limit) => {
      // With a context this short, one layer's keys are no larger than the buffers.
      const repository = openModel(model, { max_position_embeddings: 4 });
      const planned = await planModel(repository, dtype, limit);
      const expected = expectBuffers(planned, model);
      const filled = await fill(planned, repository);
      expect([...filled.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [name, bytes] of expected) expect(isSame(filled.get(name), bytes), name).toBe(true);
      if (model !== 'tiny-llama-head8' || dtype !== 'fp32' || limit !== SMALLEST_LIMIT[model]) return;
      const sources = planned.weights.flatMap((weight) => weight.sources);
      expect(sources.some(({ start, end }) => start === end)).toBe(true);
    },
  );

  it('WebAssembly gets the same bytes, a buffer at a time', async () => {
    const repository = openModel(model);
    for (const dtype of ['fp32', 'q8'] as const) {
      const planned = await planModel(repository, dtype, null);
      const files = new Map<string, Uint8Array>();
      for (const { path } of planned.weightFiles) files.set(path, await repository.readAll(path));
      const make = createBufferMaker(
        planned,
        (file, start, end) => files.get(file)?.subarray(start, end) ?? new Uint8Array(),
        computeRotary,
      );
      for (const [name, bytes] of await fill(planned, repository)) expect(isSame(make(name), bytes), name).toBe(true);
    }
  });

  it('reads of any size give the same bytes', async () => {
    const repository = openModel(model);
    const planned = await planModel(repository, 'fp32', null);
    const joined = async (weight: PlannedWeight, maxBytes: number): Promise<Buffer> => {
      const pieces: Uint8Array[] = [];
      let row = 0;
      for (const block of listRowBlocks(weight, maxBytes)) {
        expect(block.firstRow).toBe(row);
        row += block.rowCount;
        pieces.push(spreadBlock(block, await repository.read(block.source.file, block.start, block.end)));
      }
      return Buffer.concat(pieces);
    };
    for (const weight of planned.weights.filter(({ sources }) => sources.some(({ padding }) => padding))) {
      const whole = await joined(weight, Infinity);
      for (const maxBytes of [1, 500, 3_000]) {
        expect(isSame(await joined(weight, maxBytes), whole), weight.name).toBe(true);
      }
    }
  });

  it('costs count the padded heads, parameters the true ones', async () => {
    const { spec, costs, weights } = await planModel(openModel(model), 'fp32', null);
    const shape = flatten(spec);
    const checkpoint = readCheckpoint(model);
    const parameters = [...checkpoint.tensors.values()].reduce((sum, { values }) => sum + values.length, 0);
    expect(shape.paddedHeadDim % 16).toBe(0);
    expect(shape.paddedHeadDim).toBeGreaterThan(shape.headDim);
    expect(costs.parameterCount).toBe(parameters);
    expect(costs.kvBytesPerToken).toBe(2 * shape.layerCount * shape.kvHeadCount * shape.paddedHeadDim * 4);
    const tables = weights.filter(({ computed }) => computed !== null);
    expect(tables.map(({ cols }) => cols)).toEqual([shape.paddedHeadDim / 2, shape.paddedHeadDim / 2]);
  });
});
