/**
 * Stage 7's first half: compiles every kernel while the weights are still on their way, and measures what a prefill takes.
 *
 * In: the skeleton of the model. Out: {@link SkeletonResult}, compiled programs in the device's cache, and the decode step
 * captured. Guarantees: an abort takes effect between two runs. Compiling and measuring need shapes, not values, so the weights may be zeros, or half there.
 */
import { throwIfAborted } from '../../base/abort.ts';
import { cleanUpAfter } from '../../base/clean-up.ts';
import { isLoadError } from '../../contract/errors.ts';
import type { GpuSkeleton } from '../../runtime/gpu/skeleton.ts';
import { PREFILL_CHUNK_TOKENS } from '../sequences/cached-decoder.ts';

/**
 * One prompt length of each class that compiles kernels of its own in onnxruntime-web 1.31.0-dev.20260914: one token (decode),
 * 2 to 3, 4 to 31, 32 and more. Found by counting the pipelines that runs of 1 to 4,096 tokens create, with and without a
 * past, in float32 and 4 bits; lengths between the classes' ends created none. The longest class is compiled by the
 * run that is measured.
 */
const SHORT_CLASSES = [4, 2, 1];

/** A software GPU computes on the CPU that the download needs, so it is given less; activations grow with the tokens. */
const SOFTWARE_PROFILE_TOKENS = 64;

/** What the skeleton's runs told. */
export interface SkeletonResult {
  readonly elapsedMs: number;
  /** The most that the runtime's own buffers took in a prefill of {@link PREFILL_CHUNK_TOKENS}, bytes. */
  readonly activationBytes: number;
}

/** What is warmed. */
export interface SkeletonRequest {
  readonly skeleton: GpuSkeleton;
  /** Records the whole model's decode step; a failure costs speed only, and shows when it is proved. */
  readonly capture: () => Promise<void>;
  readonly contextTokens: number;
  readonly isSoftware: boolean;
}

/** Takes over the skeleton and releases it. @throws LoadError `aborted`, `device_lost`, `out_of_memory`, `runtime_failed` */
export async function warmSkeleton(
  { skeleton, capture, contextTokens, isSoftware }: SkeletonRequest,
  signal: AbortSignal,
): Promise<SkeletonResult> {
  const startMs = performance.now();
  try {
    const longest = Math.min(isSoftware ? SOFTWARE_PROFILE_TOKENS : PREFILL_CHUNK_TOKENS, contextTokens);
    throwIfAborted(signal);
    const measuredBytes = await skeleton.profile(longest, signal);
    for (const tokenCount of SHORT_CLASSES) {
      throwIfAborted(signal);
      if (tokenCount <= contextTokens) await skeleton.run(tokenCount, signal);
    }
    throwIfAborted(signal);
    await capture().catch(throwIfLost);
    throwIfAborted(signal);
    await skeleton.release(); // which clears what all of these left in the cache
    const most = Math.min(PREFILL_CHUNK_TOKENS, contextTokens);
    return {
      elapsedMs: performance.now() - startMs,
      activationBytes: Math.ceil((measuredBytes / longest) * most),
    };
  } catch (error) {
    const first = await cleanUpAfter(error, () => skeleton.release()); // on a device that is lost this may fail, too
    throw isLoadError(first) ? first.inStage('warmUp') : first; // it runs beside other stages
  }
}

function throwIfLost(error: unknown): void {
  if (isLoadError(error) && error.code === 'device_lost') throw error;
}
