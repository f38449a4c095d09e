/**
 * The checkpoint formats that are read. A new one is a folder and one line here.
 */
import type { SnapshotFile } from '../contract/snapshot.ts';
import type { CheckpointFormat } from './checkpoint-format.ts';
import { SAFETENSORS } from './safetensors/safetensors-format.ts';

/** Where a repository holds several, the first is taken. */
const FORMATS: readonly CheckpointFormat[] = [SAFETENSORS];

/** The format of the checkpoint among the files; null where no file could be one. @throws LoadError as `canRead` */
export function findFormat(files: readonly SnapshotFile[]): CheckpointFormat | null {
  return FORMATS.find((format) => format.canRead(files)) ?? null;
}
