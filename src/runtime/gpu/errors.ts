/**
 * Errors that a GPU device reports beside the calls that caused them.
 *
 * An allocation of onnxruntime's own that finds no room throws nothing: WebGPU hands back an invalid buffer, every command
 * that touches it is dropped, and the run ends as if it had succeeded. The device says so in an event, which comes before
 * whatever is read back from that run. So: read back, then {@link checkGpu}.
 */
import { yieldToEvents } from '../../base/abort.ts';
import { isLoadError, LoadError } from '../../contract/errors.ts';
import type { GpuContext } from './device.ts';
import { deviceLost, toRuntimeError } from '../ort/runtime-errors.ts';

/** @throws LoadError `device_lost`, `out_of_memory`, `runtime_failed`, for what the device said since the last check */
export function checkGpu(gpu: GpuContext, what: string): void {
  const lost = gpu.lostReason();
  if (lost !== null) throw deviceLost(lost);
  const error = gpu.takeError();
  if (error === null) return;
  const { liveBytes, peakBytes, liveBuffers } = gpu.ledger.totals();
  const detail = { liveBytes, peakBytes, liveBuffers };
  if (error instanceof GPUOutOfMemoryError) {
    throw new LoadError('out_of_memory', {
      message:
        `While ${what} the GPU had no room for another buffer; ${liveBytes} bytes in ${liveBuffers} buffers were in use. ` +
        'Choose a shorter context, a smaller dtype or device "wasm", or close other pages that use the GPU.',
      detail,
      cause: new Error(error.message),
    });
  }
  throw new LoadError('runtime_failed', {
    message: `While ${what} the GPU refused a command: ${error.message}`,
    detail,
  });
}

/** What the device said explains better why a run or a session failed than what the runtime threw then. */
export async function toGpuError(error: unknown, what: string, gpu: GpuContext): Promise<LoadError> {
  if (isLoadError(error)) return error;
  await yieldToEvents(); // what the device says may be behind the rejection that it caused
  try {
    checkGpu(gpu, what);
  } catch (said) {
    if (isLoadError(said)) return said;
  }
  return toRuntimeError(error, what, gpu.lostReason());
}
