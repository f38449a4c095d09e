/**
 * A graph with keys and with a state that cannot be cut back, s' = 0.5 s + x, run by onnxruntime on WebAssembly: whatever order
 * sequences come in, the logits are those of a decoder that never saw anything else.
 */
import fc from 'fast-check';
import * as ort from 'onnxruntime-web';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CacheSpec } from '../../../src/contract/caches.ts';
import { GRAPH_IO, nameCache } from '../../../src/contract/graph-io.ts';
import { GraphBuilder, int, ONNX_TYPE } from '../../../src/onnx/graph-builder.ts';
import type { Value } from '../../../src/onnx/graph-builder.ts';
import { CachedDecoder } from '../../../src/pipeline/sequences/cached-decoder.ts';
import type { Decoder } from '../../../src/runtime/decoder.ts';
import { createWasmDecoder } from '../../../src/runtime/wasm/wasm-decoder.ts';

const KEYS: CacheSpec = {
  layer: 0,
  kind: 'kv',
  ...nameCache(0, 'key'),
  type: 'float32',
  dims: [1, 1, null, 1],
  windowTokens: null,
  canRewind: true,
};
const STATE: CacheSpec = {
  layer: 1,
  kind: 'recurrent',
  past: 'past_state.1',
  present: 'present_state.1',
  type: 'float32',
  dims: [1, 1],
  windowTokens: null,
  canRewind: false,
};

/** Logits: the state, the sum of the keys weighted by their positions, the number of tokens (by both of its inputs). */
function buildGraph(): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder();
  const add = (op: string, name: string, inputs: readonly (Value | null)[], attributes = {}, output?: string): Value =>
    graph.node(op, inputs, { name, attributes, ...(output !== undefined && { output }) });
  const toFloat = (name: string, value: Value): Value => add('Cast', name, [value], { to: int(ONNX_TYPE.float32) });
  const [zero, one, two] = [0, 1, 2].map((value) => graph.constant('int64', value)) as [Value, Value, Value];
  const ids = graph.input(GRAPH_IO.inputIds, 'int64', [1, 'S']);
  const seqlens = graph.input(GRAPH_IO.seqlensK, 'int32', [1]);
  const total = graph.input(GRAPH_IO.totalSequenceLength, 'int32', [1]);
  const pastKeys = graph.input(KEYS.past, 'float32', [1, 1, 'P', 1]);
  const pastState = graph.input(STATE.past, 'float32', [1, 1]);
  const x = toFloat('x', ids);
  const newKeys = add('Reshape', 'keys', [x, graph.constant('int64', [1, 1, -1, 1])]);
  const keys = add('Concat', 'all_keys', [pastKeys, newKeys], { axis: int(2) }, KEYS.present);
  const count = add('Gather', 'count', [add('Shape', 'shape', [ids]), one], { axis: int(0) });
  const half = add('Div', 'half', [toFloat('one', one), toFloat('two', two)]);
  const back = add('Sub', 'back', [add('Sub', 'last', [count, one]), add('Range', 'range', [zero, count, one])]);
  const shares = add('Pow', 'shares', [half, toFloat('back_float', back)]);
  const axes = graph.constant('int64', [1]);
  const taken = add('ReduceSum', 'taken', [add('Mul', 'weighted', [x, shares]), axes], { keepdims: int(1) });
  const left = add('Mul', 'left', [pastState, add('Pow', 'decay', [half, toFloat('count_float', count)])]);
  const state = add('Add', 'state', [left, taken], {}, STATE.present);
  const row = add('Reshape', 'row', [keys, graph.constant('int64', [1, -1])]);
  const length = add('Gather', 'length', [add('Shape', 'row_shape', [row]), one], { axis: int(0) });
  const places = toFloat('places', add('Range', 'all', [zero, length, one]));
  const sum = add('ReduceSum', 'sum', [add('Mul', 'placed', [row, places]), axes], { keepdims: int(1) });
  const both = toFloat('both', add('Add', 'lengths', [seqlens, total]));
  const tokens = add('Reshape', 'tokens', [both, graph.constant('int64', [1, 1])]);
  const logits = add('Concat', 'logits', [state, sum, tokens], { axis: int(1) }, GRAPH_IO.logits);
  graph.output(logits, 'float32', [1, 3]);
  graph.output(keys, 'float32', [1, 1, 'T', 1]);
  graph.output(state, 'float32', [1, 1]);
  return graph.build('states');
}

/** The same in JavaScript. */
function expectedLogits(ids: readonly number[]): readonly number[] {
  const state = ids.reduce((sum, id) => 0.5 * sum + id, 0);
  return [state, ids.reduce((sum, id, index) => sum + id * index, 0), 2 * ids.length - 1];
}

const never = new AbortController().signal;
let decoder: Decoder;

beforeAll(async () => {
  ort.env.wasm.numThreads = 1;
  decoder = await createWasmDecoder({
    ort,
    plan: { weights: [], caches: [KEYS, STATE], maxContextTokens: 500, conversations: 3, stateSnapshots: 4 },
    graph: buildGraph(),
    makeBuffer: () => new Uint8Array(),
  });
});
afterAll(() => decoder.release());

async function expectLogits(cached: CachedDecoder, ids: readonly number[], signal = never): Promise<void> {
  const found = await cached.logitsFor(ids, signal);
  expectedLogits(ids).forEach((expected, index) => expect(found[index]).toBeCloseTo(expected, 3));
}

describe('a state that cannot be cut back, on WebAssembly', () => {
  it('is what a fresh decoder computes: turns, edits, regenerations, aborts, parked conversations', async () => {
    const ask = fc.record({
      conversation: fc.nat(2),
      keptShare: fc.constantFrom(1, 1, 0.5, 0.9, 0),
      says: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 30 }),
      isAborted: fc.constantFrom(false, false, true),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(ask, { minLength: 1, maxLength: 10 }), async (asks) => {
        const cached = new CachedDecoder(decoder, { chunkTokens: 8 });
        const conversations: number[][] = [[], [], []];
        for (const { conversation, keptShare, says, isAborted } of asks) {
          const all = conversations[conversation] ?? [];
          const ids = [...all.slice(0, all.length * keptShare), ...says];
          conversations[conversation] = ids;
          if (!isAborted) {
            await expectLogits(cached, ids);
            continue;
          }
          const abort = new AbortController();
          const running = cached.logitsFor(ids, abort.signal).catch(() => undefined);
          setTimeout(() => abort.abort(), 0);
          await running;
        }
        for (const ids of conversations) if (ids.length > 0) await expectLogits(cached, ids);
      }),
      { numRuns: 25 },
    );
  });

  it('goes on from before the last token of a prompt, and from where the last run ended', async () => {
    const cached = new CachedDecoder(decoder);
    const prompt = [3, 1, 4, 1, 5, 9, 2, 6];
    await expectLogits(cached, prompt);
    await expectLogits(cached, [...prompt, 5]);
    expect(cached.reusedTokens).toBe(8);
    await expectLogits(cached, [...prompt, 7, 7]);
    expect(cached.reusedTokens).toBe(7);
    await expectLogits(cached, [3, 1, 4, 2]);
    expect(cached.reusedTokens).toBe(0);
  });
});
