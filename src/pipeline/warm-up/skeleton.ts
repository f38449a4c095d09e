/**
 * Stage 7's first half: compiles every kernel while the weights are still on their way.
 *
 * In: the skeleton of the model. Out: nothing but compiled programs in the device's cache. Guarantees: an abort takes effect
 * between two runs. Compiling needs shapes, not values, so the weights may be zeros, or half there.
 */
import { throwIfAborted } from '../../base/abort.ts';
import { isLoadError } from '../../contract/errors.ts';
import type { GpuSkeleton } from '../../runtime/gpu-skeleton.ts';

/**
 * One prompt length of each class that compiles kernels of its own in onnxruntime-web 1.31.0-dev.20260914: one token (decode),
 * 2 to 3, 4 to 31, 32 and more. Found by counting the pipelines that runs of 1 to 4,096 tokens create, with and without a
 * past, in float32 and 4 bits; lengths between the classes' ends created none.
 */
const LENGTH_CLASSES = [32, 4, 2, 1];

/** Takes over the skeleton and releases it. @throws LoadError `aborted`, `device_lost`, `out_of_memory`, `runtime_failed` */
export async function warmSkeleton(skeleton: GpuSkeleton, contextTokens: number, signal: AbortSignal): Promise<void> {
  try {
    for (const tokenCount of LENGTH_CLASSES) {
      throwIfAborted(signal);
      if (tokenCount <= contextTokens) await skeleton.run(tokenCount);
    }
  } catch (error) {
    await skeleton.release().catch(() => undefined); // on a device that is lost it may fail too, and would hide why
    throw isLoadError(error) ? error.inStage('warmUp') : error; // it runs beside other stages
  }
  await skeleton.release();
}
