/**
 * Stands where the model worker does: the real fetch stage, the plain fetch that it is measured against, and the floors.
 */
import * as Comlink from 'comlink';
import { fetchHost } from '../../../src/client/fetch-host.ts';
import { installErrorTransfer } from '../../../src/base/comlink-errors.ts';
import { openFetchService, type FetchService, type SnapshotFiles } from '../../../src/pipeline/fetch/service.ts';
import { resolveSnapshot } from '../../../src/pipeline/resolve/resolve.ts';
import { BlobFiles } from '../../../src/store/blob-files.ts';
import type { SyncFile } from '../../../src/store/opfs-folder.ts';
import { deleteAll } from '../../../src/store/removal.ts';
import { createStreamHash } from '../../../src/store/hashing.ts';
import { CacheRecords } from '../../../src/store/records.ts';

/** Bytes and the time that they took. */
export interface Timing {
  readonly sizeBytes: number;
  readonly elapsedMs: number;
}

/** Bytes/s of what a download has to do besides downloading. */
export interface Floors {
  readonly write: number;
  /** With the flush that makes it last. */
  readonly writeAndFlush: number;
  readonly sha256: number;
}

export class BenchWorker {
  #service: FetchService | null = null;
  #files: SnapshotFiles | null = null;
  #paths: readonly string[] = [];

  /** Empties the cache, starts the fetch worker, and resolves: all that comes before the first weight byte. */
  async open(endpoint: string, modelId: string): Promise<void> {
    await this.#service?.dispose();
    const records = new CacheRecords();
    await deleteAll({ files: await BlobFiles.open(), records });
    this.#service = await openFetchService(fetchHost.openDoor());
    const snapshot = await resolveSnapshot(
      { modelId, revision: 'main', offline: false },
      { hub: { endpoint, token: null }, bundledBaseUrl: null, records, retry: { baseDelayMs: 500 } },
    );
    this.#files = await this.#service.openSnapshot(snapshot, { endpoint, token: null });
    this.#paths = snapshot.files.map(({ path }) => path).filter((path) => path.endsWith('.safetensors'));
  }

  /** All weights into the cache, verified and recorded. */
  async download(): Promise<Timing> {
    if (!this.#files) throw new Error('not open');
    const startMs = performance.now();
    const { networkBytes, totalBytes } = await this.#files.download(this.#paths);
    const elapsedMs = performance.now() - startMs;
    if (networkBytes !== totalBytes) throw new Error(`${networkBytes} bytes for a file of ${totalBytes}`);
    return { sizeBytes: totalBytes, elapsedMs };
  }

  /** The same bytes by plain fetches, all files at once, dropped as they come. */
  async plain(urls: readonly string[]): Promise<Timing> {
    const startMs = performance.now();
    const sizes = await Promise.all(
      urls.map(async (url) => {
        const reader = (await fetch(url, { cache: 'no-store' })).body?.getReader();
        let sizeBytes = 0;
        for (;;) {
          const piece = await reader?.read();
          if (!piece?.value) return sizeBytes;
          sizeBytes += piece.value.byteLength;
        }
      }),
    );
    return { sizeBytes: sizes.reduce((a, b) => a + b, 0), elapsedMs: performance.now() - startMs };
  }

  /** Each alone, with nothing else going on. */
  async floors(sizeBytes: number): Promise<Floors> {
    const piece = new Uint8Array(4 * 1024 * 1024).map((_, index) => (index * 2654435761) % 251);
    const root = await navigator.storage.getDirectory();
    const handle = await openSync(await root.getFileHandle('floor', { create: true }));
    const startMs = performance.now();
    for (let at = 0; at < sizeBytes; at += piece.byteLength) handle.write(piece, { at });
    const writtenMs = performance.now();
    handle.flush();
    const flushedMs = performance.now();
    handle.close();
    await root.removeEntry('floor');
    const hash = await createStreamHash('sha256', sizeBytes, null);
    const hashStartMs = performance.now();
    for (let at = 0; at < sizeBytes; at += piece.byteLength) hash.update(piece);
    const hashedMs = performance.now();
    const rate = (elapsedMs: number): number => sizeBytes / (elapsedMs / 1000);
    return {
      write: rate(writtenMs - startMs),
      writeAndFlush: rate(flushedMs - startMs),
      sha256: rate(hashedMs - hashStartMs),
    };
  }
}

/** Worker-only, so the types of the page that includes this file do not know it. */
function openSync(handle: FileSystemFileHandle): Promise<SyncFile> {
  return (handle as unknown as { createSyncAccessHandle(): Promise<SyncFile> }).createSyncAccessHandle();
}

installErrorTransfer();
Comlink.expose(new BenchWorker());
