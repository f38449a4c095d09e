/**
 * All files of a load: the weights, the index that names them, and the small files that serving needs.
 */
import type { LoadPlan } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { findIndex } from './read-headers.ts';
import { listTextFiles } from '../../formats/repository/text-files.ts';

/** Their paths, each once, the weights first. */
export function listNeededFiles(
  snapshot: Pick<Snapshot, 'files'>,
  plan: Pick<LoadPlan, 'weightFiles' | 'tokenizer'>,
): string[] {
  const index = findIndex(snapshot);
  return [
    ...plan.weightFiles.map(({ path }) => path),
    ...(index ? [index.path] : []), // the plan has read it; a load needs it, all the same
    ...listTextFiles(snapshot, plan),
  ];
}
