/**
 * A decoder on WebAssembly: the same graph with external-data initializers and a growing KV cache.
 *
 * In: the graph and a function that makes the bytes of one weight buffer. Out: a {@link Decoder}. Guarantees: at most one
 * weight buffer exists outside the WASM heap at a time. The cache grows because onnxruntime copies every CPU input into its
 * heap on each run, so a static cache would be copied whole at every step.
 */
import type { LoadPlan } from '../../contract/plan.ts';
import { GRAPH_IO } from '../../contract/graph-io.ts';
import type { Decoder } from '../decoder.ts';
import { GrowingCache } from './growing-cache.ts';
import { LazyBytes } from './lazy-bytes.ts';
import type { Ort } from '../ort/onnxruntime.ts';
import { toRuntimeError } from '../ort/runtime-errors.ts';
import { SessionMaker } from '../ort/sessions.ts';
import type { Session } from '../ort/sessions.ts';

/** What a WASM decoder is made from. */
export interface WasmDecoderParts {
  readonly ort: Ort;
  readonly plan: Pick<LoadPlan, 'weights' | 'caches' | 'maxContextTokens' | 'conversations' | 'stateSnapshots'>;
  readonly graph: Uint8Array<ArrayBuffer>;
  /** The whole content of one weight buffer, synchronously; called once a buffer. */
  readonly makeBuffer: (bufferName: string, sizeBytes: number) => Uint8Array;
}

/** The signal ends the wait for the runtime. @throws LoadError `aborted`, `runtime_failed`, `out_of_memory` */
export async function createWasmDecoder(
  { ort, plan, graph, makeBuffer }: WasmDecoderParts,
  signal?: AbortSignal,
): Promise<Decoder> {
  let failure: unknown;
  const externalData = plan.weights
    .flatMap((weight) => weight.buffers)
    .map(({ name, sizeBytes }) => ({
      path: name,
      data: new LazyBytes(sizeBytes, (start, end) => {
        try {
          const bytes = makeBuffer(name, sizeBytes);
          return start === 0 && end === bytes.byteLength ? bytes : bytes.subarray(start, end);
        } catch (error) {
          failure = error; // the runtime would wrap it in a message; ours says more
          throw error;
        }
      }),
    }));
  let session: Session;
  try {
    session = await new SessionMaker().create(ort, graph, { executionProviders: ['wasm'], externalData }, signal);
  } catch (error) {
    throw toRuntimeError(failure ?? error, 'creating the WebAssembly session', null);
  }
  const cache = new GrowingCache(ort, plan.caches);
  const snapshots = cache.snapshots(plan.stateSnapshots);

  return {
    contextTokens: plan.maxContextTokens, // its cache grows as it goes
    parking: cache.parking(plan.conversations - 1),
    ...(snapshots && { snapshots }),
    async run(ids, startPosition, runSignal) {
      cache.truncate(startPosition);
      const total = startPosition + ids.length;
      const feeds = {
        ...cache.tensors(),
        [GRAPH_IO.inputIds]: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
        [GRAPH_IO.seqlensK]: new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
        [GRAPH_IO.totalSequenceLength]: new ort.Tensor('int32', Int32Array.of(total), [1]),
      };
      try {
        const outputs = await session.run(feeds, undefined, runSignal);
        cache.replace(outputs, total);
        return outputs[GRAPH_IO.logits]?.data as Float32Array; // [V]
      } catch (error) {
        throw toRuntimeError(error, 'running the model', null);
      }
    },
    async release() {
      cache.clear();
      await session.release();
    },
  };
}
