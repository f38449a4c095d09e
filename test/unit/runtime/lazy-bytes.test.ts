/**
 * Bytes that are made when they are asked for, in the two ways in which onnxruntime asks; and through onnxruntime itself.
 */
import * as ort from 'onnxruntime-web';
import { describe, expect, it } from 'vitest';
import { GraphBuilder } from '../../../src/onnx/graph-builder.ts';
import { LazyBytes } from '../../../src/runtime/wasm/lazy-bytes.ts';

describe('LazyBytes', () => {
  it('has its size before anything is made, and makes the part that is asked for', () => {
    const asked: [number, number][] = [];
    const lazy = new LazyBytes(3e9, (start, end) => {
      asked.push([start, end]);
      return Uint8Array.from({ length: Math.min(end - start, 4) }, (_, index) => start + index);
    });
    expect(lazy).toBeInstanceOf(Uint8Array);
    expect(lazy.byteLength).toBe(3e9);
    expect(asked).toEqual([]);
    expect([...lazy.subarray(2, 5)]).toEqual([2, 3, 4]);
    lazy.subarray(2_999_999_990);
    lazy.subarray();
    expect(asked).toEqual([
      [2, 5],
      [2_999_999_990, 3e9],
      [0, 3e9],
    ]);
  });

  it('is what a session takes its weights from: onnxruntime asks for each once, and computes with it', async () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [1, 64]);
    const weights = ['first', 'second'].map((location) =>
      graph.externalInitializer(location, 'float32', [64, 64], { location, offset: 0, length: 4 * 64 * 64 }),
    );
    const y = weights.reduce((input, weight) => graph.node('MatMul', [input, weight], { name: `/${weight.name}` }), x);
    graph.output(graph.node('Neg', [y], { name: '/y', output: 'y' }), 'float32', [1, 64]);
    const asked: string[] = [];
    // Two and three times the identity.
    const externalData = [2, 3].map((factor, index) => ({
      path: weights[index]?.name ?? '',
      data: new LazyBytes(4 * 64 * 64, (start, end) => {
        asked.push(`${factor}: ${start} to ${end}`);
        const values = Float32Array.from({ length: 64 * 64 }, (_, at) => (at % 65 === 0 ? factor : 0));
        return new Uint8Array(values.buffer, start, end - start);
      }),
    }));
    const options = { executionProviders: ['wasm'], externalData };
    const session = await ort.InferenceSession.create(graph.build('lazy'), options);
    expect(asked.toSorted()).toEqual(['2: 0 to 16384', '3: 0 to 16384']);
    const input = Float32Array.from({ length: 64 }, (_, at) => at);
    const outputs = await session.run({ x: new ort.Tensor('float32', input, [1, 64]) });
    expect(outputs['y']?.data).toEqual(input.map((value) => -6 * value));
    await session.release();
  });

  it('what making throws reaches the one who asks', () => {
    const lazy = new LazyBytes(4, () => {
      throw new Error('the file is gone');
    });
    expect(() => lazy.subarray(0, 4)).toThrow('the file is gone');
  });
});
