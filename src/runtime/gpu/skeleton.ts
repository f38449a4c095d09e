/**
 * The model's skeleton: a layer of each kind, on the model's own buffers, for compiling kernels before the weights are there.
 *
 * In: a graph of these layers, the buffers, and the device on which the whole model's session already lives (compiled programs
 * belong to the device's context, and go with its last session). Out: {@link GpuSkeleton}. Guarantees: what it computes is
 * never used, and leaves no trace in the KV cache.
 */
import { GRAPH_IO } from '../../contract/graph-io.ts';
import { bindModel } from './bindings.ts';
import type { GpuDecoderParts } from './decoder-parts.ts';
import { checkGpu, toGpuError } from './errors.ts';
import { createGpuSession } from './session.ts';

/** A session that is good for nothing but warming. */
export interface GpuSkeleton {
  /** Runs a prompt of so many tokens (or, for 1, a decode step), whatever the buffers hold. */
  run(tokenCount: number, signal: AbortSignal): Promise<void>;
  /** As {@link run}; yields the most that the runtime's own buffers took meanwhile, bytes. */
  profile(tokenCount: number, signal: AbortSignal): Promise<number>;
  release(): Promise<void>;
}

/**
 * `parts.plan` is the whole model's, `parts.graph` the skeleton's graph. Signals end the wait for the runtime.
 * @throws LoadError `aborted`, `runtime_failed`
 */
export async function createGpuSkeleton(
  { ort, gpu, plan, graph, buffers }: GpuDecoderParts,
  signal: AbortSignal,
): Promise<GpuSkeleton> {
  const session = await createGpuSession({ ort, gpu, caches: plan.caches, graph }, 'the skeleton', signal);
  const bound = bindModel(ort, plan, buffers, session);
  const run = async (tokenCount: number, runSignal: AbortSignal): Promise<void> => {
    const feeds = {
      ...bound.feeds,
      [GRAPH_IO.inputIds]: new ort.Tensor('int64', new BigInt64Array(tokenCount), [1, tokenCount]),
      [GRAPH_IO.seqlensK]: new ort.Tensor('int32', Int32Array.of(tokenCount - 1), [1]),
      [GRAPH_IO.totalSequenceLength]: new ort.Tensor('int32', Int32Array.of(tokenCount), [1]),
    };
    try {
      await session.run(feeds, { ...bound.fetches, [GRAPH_IO.logits]: null }, runSignal);
    } catch (error) {
      throw await toGpuError(error, 'running the skeleton', gpu);
    }
    checkGpu(gpu, 'running the skeleton');
  };
  return {
    run,
    async profile(tokenCount, runSignal) {
      gpu.ledger.restartPeaks();
      await run(tokenCount, runSignal);
      return gpu.ledger.peakBytesOf('runtime');
    },
    async release() {
      // Half-filled weights may have left numbers in the cache that are none, and 0 × NaN is NaN in a masked tile too.
      const encoder = gpu.device.createCommandEncoder();
      for (const { buffer } of buffers.kv.live.values()) encoder.clearBuffer(buffer);
      gpu.device.queue.submit([encoder.finish()]);
      await session.release();
    },
  };
}
