/**
 * Bytes of a GPU buffer, through a staging buffer that is gone afterwards.
 */
import type { GpuContext } from './device.ts';

/** The first `sizeBytes` of a buffer, once all that was submitted before has been done; a multiple of 4. */
export async function readBuffer(
  { device, ledger }: Pick<GpuContext, 'device' | 'ledger'>,
  source: GPUBuffer,
  sizeBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const size = Math.ceil(sizeBytes / 4) * 4;
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = ledger.createBuffer('staging', { label: 'read back', size, usage });
  try {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    return new Uint8Array(staging.getMappedRange().slice(0, sizeBytes));
  } finally {
    staging.destroy();
  }
}
