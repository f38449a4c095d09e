/**
 * The graph builder: its checks, and that onnxruntime reads and runs what it writes.
 */
import * as ort from 'onnxruntime-web';
import { describe, expect, test } from 'vitest';
import { float, GraphBuilder, int, text } from '../../../src/onnx/graph-builder.ts';
import { readModel } from '../blueprints/support/read-graph.ts';

describe('GraphBuilder', () => {
  test('a graph of ours runs in onnxruntime', async () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', ['rows', 3]); // [rows, 3]
    const w = graph.input('w', 'float32', [2, 3]); // [2, 3]
    const y = graph.node('Gemm', [x, w], { name: '/y', attributes: { transB: int(1), alpha: float(0.5) } }); // [rows, 2]
    const flat = graph.node('Reshape', [y, graph.constant('int64', [-1])], { name: '/flat', output: 'flat' });
    graph.output(flat, 'float32', ['values']);

    const session = await ort.InferenceSession.create(graph.build('test'), { executionProviders: ['wasm'] });
    const results = await session.run({
      x: new ort.Tensor('float32', [1, 2, 3, 4, 5, 6], [2, 3]),
      w: new ort.Tensor('float32', [1, 0, 1, 0, 1, 0], [2, 3]),
    });
    expect(results['flat']?.data).toEqual(Float32Array.of(2, 1, 5, 2.5));
    await session.release();
  });

  test('external data, constants of each type, scalars and string attributes run in onnxruntime', async () => {
    const graph = new GraphBuilder();
    const index = graph.input('index', 'int64', [1]);
    const table = graph.externalInitializer('table', 'uint8', [2, 2], { location: './bytes', offset: 2, length: 4 });
    const row = graph.node('Gather', [table, index], { name: '/row' }); // [1, 2]
    const direction = { direction: text('RIGHT') };
    const shifted = graph.node('BitShift', [row, graph.constant('uint8', 4)], {
      name: '/shift',
      attributes: direction,
    });
    const cast = graph.node('Cast', [shifted], { name: '/cast', attributes: { to: int(6) } });
    const sum = graph.node('Add', [cast, graph.constant('int32', -3)], { name: '/sum', output: 'sum' });
    graph.output(sum, 'int32', [1, 2]);

    const session = await ort.InferenceSession.create(graph.build('test'), {
      executionProviders: ['wasm'],
      externalData: [{ path: 'bytes', data: Uint8Array.of(0, 0, 0x10, 0x20, 0x3f, 0x40) }],
    });
    const results = await session.run({ index: new ort.Tensor('int64', [1n], [1]) });
    expect(results['sum']?.data).toEqual(Int32Array.of(0, 1));
    await session.release();
  });

  test('a constant asked for twice is one initializer', () => {
    const graph = new GraphBuilder();
    const first = graph.constant('int64', [1, -1]);
    expect(graph.constant('int64', [1, -1])).toEqual(first);
    expect(graph.constant('int64', 1).name).not.toBe(graph.constant('int64', [1]).name);
    expect(readModel(graph.build('test')).graph?.initializer.map(({ name }) => name)).toEqual([
      '/constants/int64/[1,-1]',
      '/constants/int64/1',
      '/constants/int64/[1]',
    ]);
  });

  test('nodes may leave optional inputs and outputs out', () => {
    const graph = new GraphBuilder();
    const x = graph.input('x', 'float32', [1]);
    const [y, none] = graph.nodeWithOutputs('Some', [x, null, x], ['y', null], { name: '/some' });
    expect([y, none]).toEqual([{ name: 'y' }, null]);
    const node = readModel(graph.build('test')).graph?.node[0];
    expect([node?.input, node?.output]).toEqual([
      ['x', '', 'x'],
      ['y', ''],
    ]);
  });

  test.each([
    ['an input that nothing consumes', (graph: GraphBuilder) => void graph.input('x', 'float32', [1])],
    [
      'two values of one name',
      (graph: GraphBuilder) => {
        graph.input('x', 'float32', [1]);
        graph.input('x', 'float32', [1]);
      },
    ],
    [
      'two nodes of one name',
      (graph: GraphBuilder) => {
        const x = graph.input('x', 'float32', [1]);
        graph.node('Neg', [x], { name: '/n', output: 'a' });
        graph.node('Neg', [x], { name: '/n', output: 'b' });
      },
    ],
    ['a value of another graph', (graph: GraphBuilder) => void graph.node('Neg', [{ name: 'far' }], { name: '/n' })],
  ])('refuses %s', (_, build) => {
    const graph = new GraphBuilder();
    expect(() => {
      build(graph);
      graph.build('test');
    }).toThrow(expect.objectContaining({ code: 'internal' }));
  });
});
