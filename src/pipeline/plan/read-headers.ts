/**
 * Which safetensors files make the checkpoint, and what is in them: kilobytes by range request.
 *
 * In: a snapshot and a range reader. Out: every tensor with its file. Guarantees: a header is fetched only after its length
 * was found believable; several files are read at once; a tensor that two files claim is refused.
 */
import { forEachConcurrent } from '../../base/concurrency.ts';
import { LoadError } from '../../contract/errors.ts';
import type { Snapshot, SnapshotFile } from '../../contract/snapshot.ts';
import {
  HEADER_LENGTH_BYTES,
  parseHeader,
  readHeaderLength,
  type SafetensorsTensor,
} from '../../formats/safetensors.ts';
import { refuseLfsPointer } from '../../formats/lfs-pointer.ts';
import { parseWeightsIndex } from '../../formats/weights-index.ts';
import { type ReadAll, readIndexBytes } from './read-config.ts';

/** The bytes `[start, end)` of a file of the snapshot. */
export type ReadRange = (path: string, start: number, end: number) => Promise<Uint8Array>;

/** A tensor and the file that holds it. */
export interface LocatedTensor extends SafetensorsTensor {
  readonly file: string;
}

/** A checkpoint's tensors by name. */
export type TensorTable = ReadonlyMap<string, LocatedTensor>;

const SINGLE_FILE = 'model.safetensors';
const INDEX_FILE = 'model.safetensors.index.json';

/** Shards of a repository that lost its index. */
const SHARD_NAME = /^model-\d+-of-\d+\.safetensors$/;

/** One request fetches the length and most headers whole; a longer header costs a second one. */
const FIRST_READ_BYTES = 64 * 2 ** 10;

/** Headers are small and latency rules: a few at a time, as browsers allow per host. */
const CONCURRENT_FILES = 4;

/** Weights that we do not read, by the end of their names, in the words of their users. */
const OTHER_FORMATS: readonly (readonly [string, RegExp])[] = [
  ['PyTorch', /\.(bin|pt|pth)$/],
  ['GGUF', /\.gguf$/],
  ['ONNX', /\.onnx(_data)?$/],
  ['TensorFlow', /\.(h5|tflite)$/],
  ['Flax', /\.msgpack$/],
  ['safetensors under other names', /\.safetensors$/],
];

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
  const files = await listWeightFiles(snapshot, readAll);
  const tensorsByFile = new Map<string, readonly SafetensorsTensor[]>();
  await forEachConcurrent(
    files,
    CONCURRENT_FILES,
    async (file) => {
      tensorsByFile.set(file.path, await readHeader(file, readRange));
    },
    signal,
  );

  const table = new Map<string, LocatedTensor>();
  for (const { path } of files) {
    for (const tensor of tensorsByFile.get(path) ?? []) {
      const other = table.get(tensor.name);
      if (other) throw inTwoFiles(tensor.name, other.file, path);
      table.set(tensor.name, { ...tensor, file: path });
    }
  }
  return table;
}

/** The index, where it is what says which files make the checkpoint. */
export function findIndex({ files }: Pick<Snapshot, 'files'>): SnapshotFile | undefined {
  const isSingle = files.some(({ path }) => path === SINGLE_FILE);
  return isSingle ? undefined : files.find(({ path }) => path === INDEX_FILE);
}

/** In the order of transformers' from_pretrained: the single file first, then the index. */
async function listWeightFiles(snapshot: Snapshot, readAll: ReadAll): Promise<readonly SnapshotFile[]> {
  const byPath = new Map(snapshot.files.map((file) => [file.path, file]));
  const single = byPath.get(SINGLE_FILE);
  if (single) return [single];
  const index = findIndex(snapshot);
  if (!index) {
    const shards = snapshot.files.filter(({ path }) => SHARD_NAME.test(path));
    if (shards.length === 0) throw noSafetensors(snapshot);
    return shards.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  const { shards } = parseWeightsIndex(await readIndexBytes(index, readAll), INDEX_FILE);
  const missing = shards.filter((path) => !byPath.has(path));
  if (missing.length > 0) {
    throw new LoadError('file_not_found', {
      message: `${INDEX_FILE} names files that are not there: ${missing.join(', ')}.`,
      detail: { files: missing, index: INDEX_FILE },
    });
  }
  return shards.flatMap((path) => byPath.get(path) ?? []);
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

function noSafetensors(snapshot: Snapshot): LoadError {
  const seen = OTHER_FORMATS.flatMap(([format, pattern]) => {
    const files = snapshot.files.map(({ path }) => path).filter((path) => pattern.test(path));
    return files.length > 0 ? [{ format, files }] : [];
  });
  const message =
    seen.length > 0
      ? `It has weights as ${seen.map(({ format }) => format).join(', ')}; ${SINGLE_FILE} or ${INDEX_FILE} is needed.`
      : `Neither ${SINGLE_FILE} nor ${INDEX_FILE} is among its ${snapshot.files.length} files.`;
  return new LoadError('no_safetensors', { message, detail: { modelId: snapshot.modelId, seen } });
}

function inTwoFiles(tensor: string, first: string, second: string): LoadError {
  return new LoadError('safetensors_invalid', {
    message: `Tensor "${tensor}" is in ${first} and in ${second}.`,
    detail: { reason: 'tensor_in_two_files', tensor, files: [first, second] },
  });
}
