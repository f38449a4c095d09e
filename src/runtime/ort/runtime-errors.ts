/**
 * Turns what onnxruntime throws into typed errors.
 *
 * The runtime throws plain Errors, or numbers (a C++ exception's address) when its heap is full, so the text is all there
 * is to go by.
 */
import { isLoadError, LoadError } from '../../contract/errors.ts';

const OUT_OF_MEMORY = /bad_alloc|out of memory|memory allocation|failed to allocate|Array buffer allocation failed/iu;
const DEVICE_LOST = /device.{0,20}(lost|destroyed)|lost.{0,20}device/iu;

/** A LoadError for whatever the runtime threw while doing `what`. */
export function toRuntimeError(error: unknown, what: string, deviceLostReason: string | null): LoadError {
  if (isLoadError(error)) return error;
  const text = error instanceof Error ? error.message : `exception ${String(error)}`;
  if (deviceLostReason !== null || DEVICE_LOST.test(text)) {
    return deviceLost(deviceLostReason ?? text, error);
  }
  if (OUT_OF_MEMORY.test(text) || typeof error === 'number') {
    return new LoadError('out_of_memory', { message: `While ${what}: ${text}`, cause: error });
  }
  return new LoadError('runtime_failed', { message: `While ${what}: ${text}`, cause: error });
}

/** The error for a GPU device that is gone. */
export function deviceLost(reason: string, cause?: unknown): LoadError {
  return new LoadError('device_lost', { message: reason, retryable: true, cause });
}
