/**
 * Bytes of weight files for stage 5, from wherever they come soonest.
 *
 * In: a plan and its repository. Out: {@link WeightReader}. What is complete and verified is read in this worker, at once; the
 * rest as the download brings it. A folder on this computer is always asked, because its files may change meanwhile.
 */
import type { LoadPlan } from '../../contract/plan.ts';
import type { ReadableFile } from '../../store/readable-file.ts';
import { toStorageError } from '../../store/storage-error.ts';
import type { Repository } from '../repository.ts';

/** See the file's header; close it. Reads may be overwritten by the read after the next. */
export interface WeightReader {
  read(file: string, start: number, end: number, signal: AbortSignal | undefined): Promise<Uint8Array>;
  close(): void;
}

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
  return {
    async read(path, start, end, signal) {
      try {
        return await (complete.get(path)?.read(start, end) ?? files.waitRange(path, start, end, { signal }));
      } catch (error) {
        throw toStorageError(error, `Reading ${path}`);
      }
    },
    close: () => {
      for (const file of complete.values()) file.close();
    },
  };
}
