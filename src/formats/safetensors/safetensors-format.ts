/**
 * Safetensors as a checkpoint format: which files make the checkpoint, and what is in them, by range request.
 *
 * Guarantees: a header is fetched only after its length was found believable; several files are read at once; of two files that
 * hold a tensor the index decides, and without an index it is refused.
 */
import { assert } from '../../base/assert.ts';
import { forEachConcurrent } from '../../base/concurrency.ts';
import { LoadError } from '../../contract/errors.ts';
import type { SnapshotFile } from '../../contract/snapshot.ts';
import type { Checkpoint, CheckpointFormat, CheckpointReader, StoredTensor } from '../checkpoint-format.ts';
import { refuseLfsPointer } from '../repository/lfs-pointer.ts';
import { chooseWeightFiles, findCompleteSet, mayBeLinks, nameSome } from '../repository/weight-files.ts';
import { HEADER_LENGTH_BYTES, parseHeader, readHeaderLength, type SafetensorsTensor } from './safetensors.ts';
import { findCodec } from './safetensors-dtypes.ts';
import { parseWeightsIndex } from './weights-index.ts';

/** One request fetches the length and most headers whole; a longer header costs a second one. */
const FIRST_READ_BYTES = 64 * 2 ** 10;

/** Headers are small and latency rules: a few at a time, as browsers allow per host. */
const CONCURRENT_FILES = 4;

/** An index of more than this is none, and it is read whole: 64 MiB name about 500,000 tensors. */
const MAX_INDEX_BYTES = 64 * 2 ** 20;

/** See the file's header. */
export const SAFETENSORS: CheckpointFormat = {
  canRead: (files) => chooseWeightFiles(files) !== null,
  listIndexFiles: (files) => {
    const index = chooseWeightFiles(files)?.index ?? null;
    return index === null ? [] : [index];
  },
  open: openCheckpoint,
};

/**
 * @throws LoadError `file_not_found` (shards that the index names), `safetensors_invalid`, `size_mismatch`, `lfs_pointer`
 */
async function openCheckpoint(reader: CheckpointReader): Promise<Checkpoint> {
  const { files, shardByTensor } = await listShards(reader);
  const tensorsByFile = new Map<string, readonly SafetensorsTensor[]>();
  await forEachConcurrent(
    files,
    CONCURRENT_FILES,
    async (file) => {
      tensorsByFile.set(file.path, await readHeader(file, reader));
    },
    reader.signal,
  );

  const holders = new Map<string, StoredTensor[]>();
  for (const { path } of files) {
    for (const tensor of tensorsByFile.get(path) ?? []) {
      const stored = toStored(tensor, path);
      const others = holders.get(tensor.name);
      if (others) others.push(stored);
      else holders.set(tensor.name, [stored]);
    }
  }
  const tensors = new Map<string, StoredTensor>();
  for (const [name, [first, second, ...more]] of holders) {
    if (!first) continue;
    // Where several shards hold a tensor, the index says which one counts.
    const named = second && [first, second, ...more].find((one) => fileOf(one) === shardByTensor?.get(name));
    if (second && !named) throw inTwoFiles(name, fileOf(first), fileOf(second));
    tensors.set(name, named ?? first);
  }
  return { tensors };
}

function toStored({ name, dtype, shape, start, end }: SafetensorsTensor, file: string): StoredTensor {
  return { name, codec: findCodec(dtype), storedAs: dtype, shape, ranges: [{ file, start, end }] };
}

function fileOf({ ranges: [range] }: StoredTensor): string | undefined {
  return range?.file;
}

interface Shards {
  readonly files: readonly SnapshotFile[];
  /** Which shard holds a tensor, by the index; null where there is no index. */
  readonly shardByTensor: ReadonlyMap<string, string> | null;
}

async function listShards({ snapshot: { files, source }, readAll }: CheckpointReader): Promise<Shards> {
  const chosen = chooseWeightFiles(files);
  assert(chosen, 'a format opens what it can read');
  const { index } = chosen;
  if (index === null) return { files: chosen.files, shardByTensor: null };

  const byPath = new Map(files.map((file) => [file.path, file]));
  const { shards, shardByTensor } = parseWeightsIndex(await readIndex(index, readAll), index.path);
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

async function readIndex(file: SnapshotFile, readAll: CheckpointReader['readAll']): Promise<Uint8Array> {
  if (file.sizeBytes <= MAX_INDEX_BYTES) return readAll(file.path);
  throw new LoadError('safetensors_invalid', {
    message: `${file.path} has ${file.sizeBytes} bytes; the limit is ${MAX_INDEX_BYTES}.`,
    detail: { reason: 'index_too_large', file: file.path, sizeBytes: file.sizeBytes, maxBytes: MAX_INDEX_BYTES },
  });
}

async function readHeader(
  { path, sizeBytes }: SnapshotFile,
  { readRange }: CheckpointReader,
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

async function readExactly(
  readRange: CheckpointReader['readRange'],
  path: string,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const bytes = await readRange(path, start, end);
  if (bytes.length === end - start) return bytes;
  throw new LoadError('size_mismatch', {
    message: `${path}: bytes ${start} to ${end} were asked for, ${bytes.length} came.`,
    detail: { file: path, start, end, receivedBytes: bytes.length },
  });
}

function inTwoFiles(tensor: string, first?: string, second?: string): LoadError {
  return new LoadError('safetensors_invalid', {
    message: `Tensor "${tensor}" is in ${first} and in ${second}.`,
    detail: { reason: 'tensor_in_two_files', tensor, files: [first, second] },
  });
}
