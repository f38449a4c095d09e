/**
 * The least that a warm load has to do: make GPU buffers, read their bytes from OPFS and write them.
 */
import * as Comlink from 'comlink';
import type { SyncFile } from '../../../src/store/opfs-folder.ts';

const PIECE_BYTES = 4 * 1024 * 1024;
const BUFFER_BYTES = 128 * 1024 * 1024;

/** Times in ms. A GPU that is one makes buffers at once; a software GPU writes zeros into all of them. */
export interface Floor {
  readonly makeMs: number;
  readonly moveMs: number;
}

export class FloorWorker {
  /** For so many bytes; making the file is not counted. */
  async readAndUpload(sizeBytes: number): Promise<Floor> {
    const root = await navigator.storage.getDirectory();
    const file = await openSync(await root.getFileHandle('floor', { create: true }));
    const piece = new Uint8Array(PIECE_BYTES).map((_, index) => (index * 2654435761) % 251);
    for (let at = 0; at < sizeBytes; at += PIECE_BYTES) file.write(piece, { at });
    file.flush();
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter?.requestDevice();
    if (!device) throw new Error('no GPU');
    const makeStartMs = performance.now();
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    const buffers = Array.from({ length: Math.ceil(sizeBytes / BUFFER_BYTES) }, () =>
      device.createBuffer({ size: BUFFER_BYTES, usage }),
    );
    await device.queue.onSubmittedWorkDone();
    const startMs = performance.now();
    for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
      file.read(piece, { at });
      const buffer = buffers[Math.floor(at / BUFFER_BYTES)];
      if (buffer) device.queue.writeBuffer(buffer, at % BUFFER_BYTES, piece);
      // As often as the library waits: what is handed over without a pause only waits in the GPU process's memory.
      if ((at / PIECE_BYTES) % 8 === 7) await device.queue.onSubmittedWorkDone();
    }
    await device.queue.onSubmittedWorkDone();
    const floor = { makeMs: startMs - makeStartMs, moveMs: performance.now() - startMs };
    device.destroy();
    file.close();
    await root.removeEntry('floor');
    return floor;
  }
}

/** Worker-only, so the types of the page that includes this file do not know it. */
function openSync(handle: FileSystemFileHandle): Promise<SyncFile> {
  return (handle as unknown as { createSyncAccessHandle(): Promise<SyncFile> }).createSyncAccessHandle();
}

Comlink.expose(new FloorWorker());
