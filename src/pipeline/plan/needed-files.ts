/**
 * All files of a load: the weights, the index that names them, and the small files that serving needs.
 */
import type { LoadPlan } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { findFormat } from '../../formats/checkpoint-formats.ts';
import { listTextFiles } from '../../formats/repository/text-files.ts';

/** Their paths, each once, the weights first. */
export function listNeededFiles(
  snapshot: Pick<Snapshot, 'files'>,
  plan: Pick<LoadPlan, 'weightFiles' | 'tokenizer'>,
): string[] {
  const indexes = findFormat(snapshot.files)?.listIndexFiles(snapshot.files) ?? [];
  return [
    ...plan.weightFiles.map(({ path }) => path),
    ...indexes.map(({ path }) => path), // the plan has read it; a load needs it, all the same
    ...listTextFiles(snapshot, plan),
  ];
}
