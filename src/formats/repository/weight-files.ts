/**
 * Which files of a repository make its checkpoint. Pure.
 *
 * In: the names of its files. Out: one file, a complete set of shards, or the index that names the shards. Guarantees: where
 * transformers' from_pretrained finds a checkpoint, the same one is chosen (model.safetensors, then its index); what it would
 * not find by itself is taken only where it is complete and nothing else could be meant.
 */
import { LoadError } from '../../contract/errors.ts';
import type { SnapshotFile, SnapshotSource } from '../../contract/snapshot.ts';

/** A checkpoint: its files, or the index that names them. */
export type WeightFiles =
  | { readonly index: SnapshotFile; readonly files: null }
  | { readonly index: null; readonly files: readonly SnapshotFile[] };

/** The names under which transformers saves a checkpoint. */
export const SINGLE_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

/** Copies in another number format, as `from_pretrained(variant=…)` finds them; the first one that is there is taken. */
export const VARIANTS: readonly string[] = ['bf16', 'fp16', 'fp32'];

const SHARD = /^(?<stem>.+)-(?<number>\d{1,6})-of-(?<count>\d{1,6})\.safetensors$/;

/** Files beside a checkpoint that are none: adapters, Mistral's own layout (its tensors have other names), trainers' states. */
const OTHER_THINGS = /^(adapter_|consolidated|optimizer|scheduler|rng_state|training_|ema[._-])/;

/**
 * The checkpoint among the files; null where no file could be one.
 * @throws LoadError `file_not_found` where the only sets of shards are incomplete; `no_safetensors` where several files could be
 * meant
 */
export function chooseWeightFiles(files: readonly SnapshotFile[]): WeightFiles | null {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const sets = collectSets(files);
  const complete = sets.filter(({ missing }) => missing.length === 0);
  for (const variant of ['', ...VARIANTS.map((name) => `.${name}`)]) {
    const stem = `model${variant}`;
    const single = byPath.get(`${stem}.safetensors`);
    if (single) return { index: null, files: [single] };
    const index = byPath.get(`${INDEX_FILE.slice(0, -'.json'.length)}${variant}.json`);
    if (index) return { index, files: null };
    const [only, ...more] = complete.filter((set) => set.stem === stem);
    if (only && more.length === 0) return { index: null, files: only.files };
  }
  return chooseByElimination(files, sets);
}

/**
 * The complete set of shards that stands in for one that an index names and that is gone; null where there is none, or more.
 */
export function findCompleteSet(files: readonly SnapshotFile[]): readonly SnapshotFile[] | null {
  const [only, ...more] = collectSets(files).filter(({ stem, missing }) => stem === 'model' && missing.length === 0);
  return only && more.length === 0 ? only.files : null;
}

/** Names that no program looks for by itself: taken where there is only one candidate. */
function chooseByElimination(files: readonly SnapshotFile[], sets: readonly ShardSet[]): WeightFiles | null {
  const complete = sets.filter(({ missing }) => missing.length === 0).map(({ files }) => files);
  const singles = files.filter(
    ({ path }) => path.endsWith('.safetensors') && !path.includes('/') && !SHARD.test(path) && !OTHER_THINGS.test(path),
  );
  const candidates = [...complete, ...singles.map((file) => [file])];
  const [only] = candidates;
  if (candidates.length > 1) {
    const names = candidates.map(([first]) => first?.path ?? '');
    throw new LoadError('no_safetensors', {
      message:
        `Several files could be the model: ${names.join(', ')}. ${SINGLE_FILE} or ${INDEX_FILE} would say which; ` +
        'neither is there.',
      detail: { reason: 'ambiguous', candidates: names },
    });
  }
  if (only) return { index: null, files: only };
  const [broken] = sets;
  if (!broken) return null;
  const { missing, count } = broken;
  throw new LoadError('file_not_found', {
    message: `Of ${count} shards, ${missing.length} are not there: ${nameSome(missing)}.`,
    detail: { files: missing, shardCount: count },
  });
}

interface ShardSet {
  readonly stem: string;
  readonly count: number;
  readonly files: readonly SnapshotFile[];
  /** Shards that are not there. */
  readonly missing: readonly string[];
}

/** A set that claims more shards is none. */
const MAX_SHARDS = 10_000;

function collectSets(files: readonly SnapshotFile[]): readonly ShardSet[] {
  const groups = new Map<
    string,
    { stem: string; total: string; byNumber: Map<number, SnapshotFile>; digits: number }
  >();
  for (const file of files) {
    const { stem, number, count: total } = SHARD.exec(file.path)?.groups ?? {};
    if (stem === undefined || number === undefined || total === undefined) continue;
    if (stem.includes('/') || OTHER_THINGS.test(stem)) continue;
    const key = `${stem}-of-${total}`;
    const group = groups.get(key) ?? { stem, total, byNumber: new Map<number, SnapshotFile>(), digits: number.length };
    group.byNumber.set(Number(number), file);
    groups.set(key, group);
  }
  return [...groups.values()].flatMap(({ stem, total, byNumber, digits }) => {
    const count = Number(total);
    if (count < 1 || count > MAX_SHARDS) return [];
    const first = byNumber.has(0) ? 0 : 1; // some programs count from zero
    const numbers = Array.from({ length: count }, (_, index) => first + index);
    const missing = numbers
      .filter((number) => !byNumber.has(number))
      .map((number) => `${stem}-${String(number).padStart(digits, '0')}-of-${total}.safetensors`);
    return { stem, count, missing, files: numbers.flatMap((number) => byNumber.get(number) ?? []) };
  });
}

/** How many names a message holds; `detail` has all. */
const NAMES_IN_MESSAGE = 5;

/** A few names for a message. */
export function nameSome(names: readonly string[]): string {
  const more = names.length - NAMES_IN_MESSAGE;
  return names.slice(0, NAMES_IN_MESSAGE).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/**
 * What else may be the reason why a file is not there, as a sentence with a space before it. Chromium shows a page no link in a
 * folder on this computer, whether it was picked, given to a file input or dropped.
 */
export function mayBeLinks(source: SnapshotSource): string {
  return source === 'folder' ? ' Links are not shown to a page: the files themselves must lie in the folder.' : '';
}
