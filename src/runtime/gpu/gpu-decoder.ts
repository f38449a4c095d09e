/**
 * A decoder on WebGPU: weights are graph inputs bound to our buffers, the KV cache is static, and replaced by a longer one when
 * it grows.
 *
 * In: the graph (no weights in it) and the buffers of `gpu-buffers.ts`. Out: a {@link Decoder}. Guarantees: no weight
 * passes through the WASM heap; past and present are the same buffers, so a step copies nothing. Its token loop
 * (`gpu-token-loop.ts`) works on the same weights and the same cache.
 */
import type { Tensor } from 'onnxruntime-web';
import { GRAPH_IO } from '../../contract/graph-io.ts';
import type { Decoder } from '../decoder.ts';
import { bindModel } from './bindings.ts';
import type { GpuDecoderParts } from './decoder-parts.ts';
import { growKvCaches } from './kv-growth.ts';
import type { ContextResizing } from './kv-growth.ts';
import { createGpuKvParking } from './kv-parking.ts';
import { createGpuStateSnapshots } from './state-snapshots.ts';
import { checkGpu, toGpuError } from './errors.ts';
import { GpuTokenLoop } from './token-loop.ts';
import { toRuntimeError } from '../ort/runtime-errors.ts';
import type { Session } from '../ort/sessions.ts';

/** And a session of the graph, and what its cache grows by. */
interface GrowingDecoderParts extends GpuDecoderParts {
  readonly session: Session;
  readonly resizing: ContextResizing;
}

/** Takes over `buffers`, `session` and `gpu`: `release` destroys them. @throws LoadError `runtime_failed` */
export function createGpuDecoder(parts: GrowingDecoderParts): Decoder {
  const { ort, gpu, plan, session, buffers, resizing } = parts;
  let bound = bindModel(ort, plan, buffers, session);
  const snapshots = createGpuStateSnapshots(gpu.device, buffers.kv);
  /** Logits of the last position: into `logits`, or, for null, to JavaScript. */
  const run = async (ids: readonly number[], startPosition: number, logits: Tensor | null, signal?: AbortSignal) => {
    if (startPosition === 0) snapshots?.clear();
    const total = startPosition + ids.length;
    const feeds = {
      ...bound.feeds,
      [GRAPH_IO.inputIds]: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
      [GRAPH_IO.seqlensK]: new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
      [GRAPH_IO.totalSequenceLength]: new ort.Tensor('int32', Int32Array.of(total), [1]),
    };
    try {
      return await session.run(feeds, { ...bound.fetches, [GRAPH_IO.logits]: logits }, signal);
    } catch (error) {
      throw await toGpuError(error, 'running the model', gpu);
    }
  };
  const tokenLoop = new GpuTokenLoop(parts, bound, async (ids, startPosition, logits, signal) => {
    await run(ids, startPosition, logits, signal);
  });

  return {
    get contextTokens() {
      return buffers.plan.contextTokens;
    },
    tokenLoop,
    parking: createGpuKvParking(gpu.device, buffers.kv),
    ...(snapshots && { snapshots }),
    async grow(request) {
      const before = [...buffers.kv.live.values()];
      try {
        return await growKvCaches(gpu, buffers, resizing, request);
      } finally {
        if ([...buffers.kv.live.values()].some((cache, index) => cache !== before[index])) {
          bound = bindModel(ort, buffers.plan, buffers, session);
          // A session that fails to go lies in the runtime's heap; what matters of this growth is said already.
          await tokenLoop.rebind(bound).catch(() => undefined);
        }
      }
    },
    gpu: { lost: gpu.lost, memory: () => gpu.ledger.totals() },
    async run(ids, startPosition, signal) {
      const outputs = await run(ids, startPosition, null, signal);
      checkGpu(gpu, 'running the model');
      return outputs[GRAPH_IO.logits]?.data as Float32Array; // [V]
    },
    async release() {
      // On a lost device a session may fail to go; what is left of it goes with the device, and the rest goes all the same.
      const failures: unknown[] = [];
      await tokenLoop.release().catch((error: unknown) => failures.push(error));
      await session.release().catch((error: unknown) => failures.push(error));
      buffers.destroy();
      const wasLost = gpu.lostReason() !== null;
      gpu.destroy();
      if (failures.length > 0 && !wasLost) throw toRuntimeError(failures[0], 'releasing the model', null);
    },
  };
}
