/**
 * Which safetensors files make the checkpoint, and what is in them: kilobytes by range request.
 *
 * In: a snapshot and a range reader. Out: every tensor with its file. Guarantees: a header is fetched only after its length
 * was found believable; several files are read at once; of two files that hold a tensor the index decides, and without an index
 * it is refused.
 */
import { forEachConcurrent } from '../../base/concurrency.ts';
import { LoadError } from '../../contract/errors.ts';
import type { Snapshot, SnapshotFile } from '../../contract/snapshot.ts';
import {
  HEADER_LENGTH_BYTES,
  parseHeader,
  readHeaderLength,
  type SafetensorsTensor,
} from '../../formats/safetensors/safetensors.ts';
import { refuseLfsPointer } from '../../formats/repository/lfs-pointer.ts';
import { parseWeightsIndex } from '../../formats/safetensors/weights-index.ts';
import { type ReadAll, readIndexBytes } from './read-config.ts';
import { chooseWeightFiles, findCompleteSet, mayBeLinks, nameSome } from '../../formats/repository/weight-files.ts';

/** The bytes `[start, end)` of a file of the snapshot. */
export type ReadRange = (path: string, start: number, end: number) => Promise<Uint8Array>;

/** A tensor and the file that holds it. */
export interface LocatedTensor extends SafetensorsTensor {
  readonly file: string;
}

/** A checkpoint's tensors by name. */
export type TensorTable = ReadonlyMap<string, LocatedTensor>;

/** One request fetches the length and most headers whole; a longer header costs a second one. */
const FIRST_READ_BYTES = 64 * 2 ** 10;

/** Headers are small and latency rules: a few at a time, as browsers allow per host. */
const CONCURRENT_FILES = 4;

/**
 * The tensors of the snapshot's checkpoint.
 * @throws LoadError `no_safetensors`, `file_not_found` (shards that the index names), `safetensors_invalid`, `size_mismatch`,
 * `lfs_pointer`
 */
export async function readTensorTable(
  snapshot: Snapshot,
  readAll: ReadAll,
  readRange: ReadRange,
  signal: AbortSignal | undefined,
): Promise<TensorTable> {
  const { files, shardByTensor } = await listShards(snapshot, readAll);
  const tensorsByFile = new Map<string, readonly SafetensorsTensor[]>();
  await forEachConcurrent(
    files,
    CONCURRENT_FILES,
    async (file) => {
      tensorsByFile.set(file.path, await readHeader(file, readRange));
    },
    signal,
  );

  const holders = new Map<string, LocatedTensor[]>();
  for (const { path } of files) {
    for (const tensor of tensorsByFile.get(path) ?? []) {
      const located = { ...tensor, file: path };
      const others = holders.get(tensor.name);
      if (others) others.push(located);
      else holders.set(tensor.name, [located]);
    }
  }
  const table = new Map<string, LocatedTensor>();
  for (const [name, [first, second, ...more]] of holders) {
    if (!first) continue;
    // Where several shards hold a tensor, the index says which one counts.
    const named = second && [first, second, ...more].find(({ file }) => file === shardByTensor?.get(name));
    if (second && !named) throw inTwoFiles(name, first.file, second.file);
    table.set(name, named ?? first);
  }
  return table;
}

/** The index, where it is what says which files make the checkpoint. */
export function findIndex({ files }: Pick<Snapshot, 'files'>): SnapshotFile | null {
  return chooseWeightFiles(files)?.index ?? null;
}

interface Shards {
  readonly files: readonly SnapshotFile[];
  /** Which shard holds a tensor, by the index; null where there is no index. */
  readonly shardByTensor: ReadonlyMap<string, string> | null;
}

async function listShards({ files, modelId, source }: Snapshot, readAll: ReadAll): Promise<Shards> {
  const chosen = chooseWeightFiles(files);
  if (!chosen) throw new LoadError('no_safetensors', { detail: { modelId } });
  const { index } = chosen;
  if (index === null) return { files: chosen.files, shardByTensor: null };

  const byPath = new Map(files.map((file) => [file.path, file]));
  const { shards, shardByTensor } = parseWeightsIndex(await readIndexBytes(index, readAll), index.path);
  const missing = shards.filter((path) => !byPath.has(path));
  if (missing.length === 0) return { files: shards.flatMap((path) => byPath.get(path) ?? []), shardByTensor };
  // An index that was left behind when the shards were cut anew.
  const complete = findCompleteSet(files);
  if (complete) return { files: complete, shardByTensor: null };
  throw new LoadError('file_not_found', {
    message: `${index.path} names ${missing.length} files that are not there: ${nameSome(missing)}.${mayBeLinks(source)}`,
    detail: { files: missing, index: index.path },
  });
}

async function readHeader(
  { path, sizeBytes }: SnapshotFile,
  readRange: ReadRange,
): Promise<readonly SafetensorsTensor[]> {
  const firstEnd = Math.min(sizeBytes, FIRST_READ_BYTES);
  const first = firstEnd === 0 ? new Uint8Array(0) : await readExactly(readRange, path, 0, firstEnd);
  refuseLfsPointer(first, path);
  const headerEnd = HEADER_LENGTH_BYTES + readHeaderLength(first.subarray(0, HEADER_LENGTH_BYTES), sizeBytes, path);
  const header = new Uint8Array(headerEnd - HEADER_LENGTH_BYTES);
  header.set(first.subarray(HEADER_LENGTH_BYTES, headerEnd));
  if (headerEnd > firstEnd) {
    header.set(await readExactly(readRange, path, firstEnd, headerEnd), firstEnd - HEADER_LENGTH_BYTES);
  }
  return parseHeader(header, sizeBytes, path).tensors;
}

async function readExactly(readRange: ReadRange, path: string, start: number, end: number): Promise<Uint8Array> {
  const bytes = await readRange(path, start, end);
  if (bytes.length === end - start) return bytes;
  throw new LoadError('size_mismatch', {
    message: `${path}: bytes ${start} to ${end} were asked for, ${bytes.length} came.`,
    detail: { file: path, start, end, receivedBytes: bytes.length },
  });
}

function inTwoFiles(tensor: string, first: string, second: string): LoadError {
  return new LoadError('safetensors_invalid', {
    message: `Tensor "${tensor}" is in ${first} and in ${second}.`,
    detail: { reason: 'tensor_in_two_files', tensor, files: [first, second] },
  });
}
