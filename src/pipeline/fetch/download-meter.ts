/**
 * Adds up the progress of a download so that its invariants hold whatever its files do (restarts, takeovers): it never falls, has
 * a constant total, and reaches it only when `finish` is called.
 */
import type { FetchProgress } from '../../contract/cache.ts';

/** One file of a download. */
export interface MeteredFile {
  readonly sizeBytes: number;
  readonly complete: boolean;
  readonly doneBytes: number;
  /** Of this download. */
  readonly networkBytes: number;
}

/** See the file's header. */
export class DownloadMeter {
  readonly totalBytes: number;
  readonly #files: readonly MeteredFile[];
  readonly #onProgress: (progress: FetchProgress) => unknown;
  #lastCall: unknown = null;
  #doneBytes = -1;
  #networkBytes = 0;

  /** `onProgress` may be a call to another worker: the last one is awaited by `finish`. */
  constructor(files: readonly MeteredFile[], onProgress: (progress: FetchProgress) => unknown) {
    this.#files = files;
    this.#onProgress = onProgress;
    this.totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  }

  get networkBytes(): number {
    return this.#files.reduce((sum, file) => sum + file.networkBytes, 0);
  }

  report(): void {
    const sum = this.#files.reduce((total, { complete, sizeBytes, doneBytes }) => {
      // The last byte counts when the file is verified.
      return total + (complete ? sizeBytes : Math.min(doneBytes, Math.max(0, sizeBytes - 1)));
    }, 0);
    this.#emit(Math.min(sum, Math.max(0, this.totalBytes - 1)));
  }

  async finish(): Promise<void> {
    this.#emit(this.totalBytes);
    await this.#lastCall;
  }

  #emit(doneBytes: number): void {
    const { networkBytes } = this;
    if (doneBytes <= this.#doneBytes && networkBytes === this.#networkBytes) return;
    this.#doneBytes = Math.max(this.#doneBytes, doneBytes);
    this.#networkBytes = networkBytes;
    const call = async (): Promise<unknown> =>
      this.#onProgress({ doneBytes: this.#doneBytes, totalBytes: this.totalBytes, networkBytes });
    // A listener that fails must not fail the download.
    this.#lastCall = call().catch(() => undefined);
  }
}
