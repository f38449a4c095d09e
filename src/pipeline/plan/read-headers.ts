/**
 * What is in a snapshot's checkpoint: the format that can read it is asked.
 *
 * In: a snapshot and a range reader. Out: every tensor with its place in the files. Guarantees: kilobytes are read, no weights.
 */
import { assert } from '../../base/assert.ts';
import { LoadError } from '../../contract/errors.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import type { ByteRange, CheckpointReader, StoredTensor } from '../../formats/checkpoint-format.ts';
import { findFormat } from '../../formats/checkpoint-formats.ts';
import type { ReadAll } from './read-config.ts';

/** The bytes `[start, end)` of a file of the snapshot. */
export type ReadRange = CheckpointReader['readRange'];

/** A checkpoint's tensors by name. */
export type TensorTable = ReadonlyMap<string, StoredTensor>;

/**
 * The tensors of the snapshot's checkpoint.
 * @throws LoadError `no_safetensors`, `file_not_found`, `safetensors_invalid`, `size_mismatch`, `lfs_pointer`
 */
export async function readTensorTable(
  snapshot: Snapshot,
  readAll: ReadAll,
  readRange: ReadRange,
  signal: AbortSignal | undefined,
): Promise<TensorTable> {
  const format = findFormat(snapshot.files);
  if (!format) throw new LoadError('no_safetensors', { detail: { modelId: snapshot.modelId } });
  return (await format.open({ snapshot, readAll, readRange, signal })).tensors;
}

/** Where a tensor lies. A plan reads tensors of one range only: what has several needs a plan that walks them row by row. */
export function placeOf({ name, ranges }: StoredTensor): ByteRange {
  const [range, ...more] = ranges;
  assert(range && more.length === 0, `${name} lies in one range`);
  return range;
}
