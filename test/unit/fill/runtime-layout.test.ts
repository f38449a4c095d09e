/**
 * The block layout, checked against the program that reads it: onnxruntime's own MatMulNBits and GatherBlockQuantized, on
 * its CPU provider, over blocks that our kernels made.
 */
import * as ort from 'onnxruntime-web/wasm';
import { beforeAll, describe, expect, it } from 'vitest';
import { GraphBuilder, int, MICROSOFT_DOMAIN } from '../../../src/onnx/graph-builder.ts';
import { encodeRows } from '../../../src/pipeline/fill/kernels/encode-rows.ts';
import { dequantise, gaussian, toBytes } from './reference.ts';

const ROWS = 24;

beforeAll(() => {
  ort.env.wasm.numThreads = 1;
});

function encode(
  cols: number,
  bits: 4 | 8,
): { blocks: Uint8Array; scales: Float32Array; blockCount: number; weights: number[][] } {
  const encoded = encodeRows(toBytes(gaussian(ROWS * cols, cols + bits), 'bf16'), 'bf16', cols, ROWS, `q${bits}`);
  if (!('blocks' in encoded)) throw new Error('expected blocks');
  const { blocks, scales } = encoded;
  const weights = dequantise(blocks, scales, { rows: ROWS, cols, bits, scaleType: 'float32' }).values;
  return { blocks, scales: new Float32Array(scales.buffer), blockCount: Math.ceil(cols / 32), weights };
}

describe.each([4, 8] as const)('%i bits in onnxruntime', (bits) => {
  it.each([64, 72, 152, 200])('MatMulNBits, %i columns', async (cols) => {
    const { blocks, scales, blockCount, weights } = encode(cols, bits);
    const graph = new GraphBuilder();
    const y = graph.node(
      'MatMulNBits',
      [
        graph.input('x', 'float32', [2, cols]),
        graph.input('blocks', 'uint8', [ROWS, blockCount, 4 * bits]),
        graph.input('scales', 'float32', [ROWS, blockCount]),
      ],
      {
        name: '/MatMulNBits',
        domain: MICROSOFT_DOMAIN,
        attributes: { K: int(cols), N: int(ROWS), bits: int(bits), block_size: int(32) },
      },
    );
    graph.output(y, 'float32', [2, ROWS]);
    const session = await ort.InferenceSession.create(graph.build('layout'), { executionProviders: ['wasm'] });
    const x = gaussian(2 * cols, 5, 1);
    const outputs = await session.run({
      x: new ort.Tensor('float32', x, [2, cols]),
      blocks: new ort.Tensor('uint8', blocks, [ROWS, blockCount, 4 * bits]),
      scales: new ort.Tensor('float32', scales, [ROWS, blockCount]),
    });
    const got = [...(outputs[y.name]?.data as Float32Array)];
    const expected = [0, 1].flatMap((m) =>
      weights.map((row) => row.reduce((sum, weight, k) => sum + weight * (x[m * cols + k] as number), 0)),
    );
    const worst = Math.max(...got.map((value, i) => Math.abs(value - (expected[i] as number))));
    expect(worst).toBeLessThan(1e-5);
    await session.release();
  });

  it('GatherBlockQuantized, 64 columns', async () => {
    const { blocks, scales, weights } = encode(64, bits);
    const graph = new GraphBuilder();
    const y = graph.node(
      'GatherBlockQuantized',
      [
        graph.input('table', 'uint8', [ROWS, 8 * bits]),
        graph.input('ids', 'int64', [3]),
        graph.input('scales', 'float32', [ROWS, 2]),
      ],
      {
        name: '/GatherBlockQuantized',
        domain: MICROSOFT_DOMAIN,
        attributes: { bits: int(bits), block_size: int(32), gather_axis: int(0), quantize_axis: int(1) },
      },
    );
    graph.output(y, 'float32', [3, 64]);
    const session = await ort.InferenceSession.create(graph.build('layout'), { executionProviders: ['wasm'] });
    const outputs = await session.run({
      table: new ort.Tensor('uint8', blocks, [ROWS, 8 * bits]),
      ids: new ort.Tensor('int64', BigInt64Array.of(23n, 0n, 7n), [3]),
      scales: new ort.Tensor('float32', scales, [ROWS, 2]),
    });
    const got = [...(outputs[y.name]?.data as Float32Array)];
    const expected = [23, 0, 7].flatMap((id) => (weights[id] as number[]).map(Math.fround));
    expect(got).toEqual(expected);
    await session.release();
  });
});
