/**
 * Bytes of weight files for stage 5, from wherever they come soonest.
 *
 * In: a plan and its repository. Out: {@link WeightReader}. What is complete and verified is read in this worker, at once; the
 * rest as the download brings it, until its file is complete too. A folder on this computer is always asked, because its files
 * may change meanwhile. Guarantee: however long the files are and however many, two reads are in memory.
 */
import { ReadMemory } from '../../base/read-memory.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { ReadableFile } from '../../store/readable-file.ts';
import { toStorageError } from '../../store/storage-error.ts';
import type { RangeWant } from '../fetch/want-list.ts';
import { MAX_READ_BYTES } from '../fill/row-blocks.ts';
import type { Repository } from '../resolve/repository.ts';

/** See the file's header; close it. One read at a time; its bytes may be overwritten by the read after the next. */
export interface WeightReader {
  read(file: string, start: number, end: number, signal: AbortSignal | undefined): Promise<Uint8Array>;
  close(): void;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** @throws LoadError `storage_failed` */
export async function openWeightReader(
  { weightFiles }: LoadPlan,
  { files, snapshot }: Repository,
): Promise<WeightReader> {
  const complete = new Map<string, ReadableFile>();
  if (snapshot.source !== 'folder') {
    for (const status of await files.status(weightFiles.map(({ path }) => path))) {
      // What is not there after all is the download's to notice, and to fetch.
      const file = status.complete ? await files.openBlob(status.path).catch(() => null) : null;
      if (file) complete.set(status.path, file);
    }
  }
  const reads = new ReadMemory(MAX_READ_BYTES);

  async function read(path: string, range: RangeWant, signal: AbortSignal | undefined): Promise<Bytes> {
    const { start, end, memory } = range;
    const known = complete.get(path);
    if (known) return known.read(start, end, memory);
    const bytes = await files.waitRange(path, range, { signal });
    if (bytes) return bytes;
    const file = await files.openBlob(path);
    complete.set(path, file);
    return file.read(start, end);
  }

  return {
    async read(path, start, end, signal) {
      const memory = reads.take(end - start);
      try {
        const bytes = await read(path, { start, end, memory }, signal);
        // Unused, or where the bytes are now; else it went to another worker and came back as another object.
        reads.give(memory.byteLength > 0 ? memory : bytes.buffer);
        return bytes;
      } catch (error) {
        throw toStorageError(error, `Reading ${path}`);
      }
    },
    close: () => {
      for (const file of complete.values()) file.close();
    },
  };
}
