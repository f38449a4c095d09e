/**
 * Asking the GPU for buffers: what does not fit is said, and breaks nothing.
 */

/** What our buffers are for: bound to kernels, written by us, copied among each other. */
export function bufferUsage(): GPUBufferUsageFlags {
  return GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
}

/** Creates buffers; yields why one of them could not be, null where all are there. */
export async function catchRefusal(device: GPUDevice, create: () => void): Promise<Error | null> {
  device.pushErrorScope('validation');
  device.pushErrorScope('out-of-memory');
  let thrown: Error | null = null;
  try {
    create();
  } catch (error) {
    // createBuffer itself throws where the implementation refuses the size outright (RangeError).
    thrown = error instanceof Error ? error : new Error(String(error));
  }
  const [memory, validation] = await Promise.allSettled([device.popErrorScope(), device.popErrorScope()]);
  if (thrown !== null) return thrown;
  for (const scope of [memory, validation]) {
    if (scope.status === 'rejected') return new Error(String(scope.reason)); // the device is lost
    if (scope.value !== null) return new Error(scope.value.message);
  }
  return null;
}

/** onnxruntime wants sizes in multiples of 16 bytes. */
const SIZE_ALIGNMENT_BYTES = 16;

/** A size that a buffer may have. */
export function alignSize(sizeBytes: number): number {
  return Math.max(SIZE_ALIGNMENT_BYTES, Math.ceil(sizeBytes / SIZE_ALIGNMENT_BYTES) * SIZE_ALIGNMENT_BYTES);
}
