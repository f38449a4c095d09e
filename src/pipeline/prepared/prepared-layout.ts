/**
 * Where each weight buffer lies in the file of a load's prepared weights, and by what that file is found again. No I/O.
 *
 * In: a plan and its snapshot. Out: a layout and a {@link PreparedContent}. Guarantees: equal keys mean equal bytes; places
 * are multiples of 4, so that the device takes the bytes as they lie.
 */
import type { LoadPlan, PlannedWeight } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { isQuantEncoding } from '../../formats/quant-layout.ts';
import { toBlobKey } from '../../store/journal.ts';
import type { PreparedContent } from '../../store/prepared-record.ts';
import { hashIdentity } from '../../base/identity.ts';

/**
 * Raise it with every change after which the same checkpoint and the same plan become other bytes: the kernels of
 * `fill/kernels`, `formats/codecs`, `formats/quant-layout.ts`, the layout below. A test holds it: it has the bytes' hash by version. Whatever else changes (the plan's weights, their sources,
 * encodings, order or parts) is in the key already. What another version wrote is removed at the next start.
 */
export const CONVERTER_VERSION = 1;

/** Bytes of one buffer in the file, half-open, its padding to whole words included. */
export interface PreparedSlot {
  readonly buffer: string;
  readonly start: number;
  readonly end: number;
}

/** The buffers one behind the other, in the order of the plan; computed tables are made anew by each load. */
export function layOutPrepared(weights: readonly PlannedWeight[]): readonly PreparedSlot[] {
  const slots: PreparedSlot[] = [];
  let end = 0;
  for (const { name, sizeBytes } of weights.filter(({ computed }) => computed === null).flatMap((one) => one.buffers)) {
    const start = end;
    end = start + Math.ceil(sizeBytes / WORD_BYTES) * WORD_BYTES;
    slots.push({ buffer: name, start, end });
  }
  return slots;
}

const WORD_BYTES = 4;

/**
 * What to keep of a load; null where keeping does not pay or is not safe.
 *
 * It pays where weights are quantised: the file is a third of the checkpoint (q4), and reading it replaces reading and
 * converting all of that. From bf16 to fp32 it does not: the file would be twice the checkpoint, and reading that much takes
 * longer than the conversion, which keeps up with the disk. From bf16 to fp16 the file would be as large as the checkpoint,
 * for nothing but a conversion that is hidden behind the reading.
 * It is safe where each weight file has an announced hash: the key must change with the bytes. A folder on this computer
 * has none, nor has a static server that announces none.
 */
export async function describePrepared(
  plan: Pick<LoadPlan, 'dtype' | 'weights' | 'weightFiles'>,
  snapshot: Pick<Snapshot, 'source' | 'files'>,
  converterVersion = CONVERTER_VERSION,
): Promise<PreparedContent | null> {
  if (snapshot.source === 'folder' || !plan.weights.some(({ encoding }) => isQuantEncoding(encoding))) return null;
  const blobKeys = new Map<string, string>();
  for (const { path } of plan.weightFiles) {
    const file = snapshot.files.find((candidate) => candidate.path === path);
    if (!file?.hash) return null;
    blobKeys.set(path, await toBlobKey(file));
  }
  const slots = layOutPrepared(plan.weights);
  const facts = plan.weights
    .filter(({ computed }) => computed === null)
    .map(({ rows, cols, encoding, buffers, sources }) => [
      [rows, cols, encoding],
      buffers.map(({ name, type, sizeBytes }) => [name, type, sizeBytes]),
      sources.map(({ file, start, end, codec, padding }) => [
        ...[blobKeys.get(file), start, end, codec],
        ...(padding ? [padding] : []),
      ]),
    ]);
  return {
    key: `${plan.dtype}-v${converterVersion}-${await hashIdentity(facts)}`,
    converterVersion,
    dtype: plan.dtype,
    blobKeys: [...new Set(blobKeys.values())],
    sizeBytes: slots.at(-1)?.end ?? 0,
  };
}
