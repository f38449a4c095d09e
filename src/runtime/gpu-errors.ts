/**
 * Errors that a GPU device reports beside the calls that caused them.
 *
 * An allocation of onnxruntime's own that finds no room throws nothing: WebGPU hands back an invalid buffer, every command
 * that touches it is dropped, and the run ends as if it had succeeded. The device says so in an event, which comes before
 * whatever is read back from that run. So: read back, then {@link checkGpu}.
 */
import { LoadError } from '../contract/errors.ts';
import type { GpuContext } from './gpu.ts';

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

/** The error for a device that is gone. */
export function deviceLost(reason: string, cause?: unknown): LoadError {
  return new LoadError('device_lost', { message: reason, retryable: true, cause });
}
