/**
 * What the records in IndexedDB look like, and whether one that was read is such a record.
 *
 * In: what IndexedDB gave back: this page may have written it, another version of it, or a disk that fails. Out: the record, or
 * null. Guarantees: a record of another version or another shape is as none, so that it is fetched, found out or made anew;
 * nothing here throws. Pure.
 */
import type { RecordKind, RecordTypes } from './records.ts';

/** `record` as it is stored. */
export function stampRecord(kind: RecordKind, record: RecordTypes[RecordKind]): unknown {
  return { ...record, [VERSION_FIELD]: SHAPES[kind].version };
}

/** The record that `value` is; null where it is none of this version. */
export function readRecord<K extends RecordKind>(kind: K, value: unknown): RecordTypes[K] | null {
  const { version, isShape } = SHAPES[kind];
  if (!isObject(value) || (value[VERSION_FIELD] ?? 1) !== version || !isShape(value)) return null;
  const { [VERSION_FIELD]: _, ...record } = value;
  return record as unknown as RecordTypes[K];
}

/** The first records were written without it. */
const VERSION_FIELD = 'recordVersion';

type Check = (value: unknown) => boolean;

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const isText: Check = (value) => typeof value === 'string';
const isFlag: Check = (value) => typeof value === 'boolean';
const isTime: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isSize: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const isAnything: Check = () => true;
const oneOf =
  (...values: readonly string[]): Check =>
  (value) =>
    values.includes(value as string);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const shapeOf =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isObject(value) && Object.entries(fields).every(([name, check]) => check(value[name]));

const isHash = shapeOf({ algorithm: oneOf('sha256', 'git-sha1'), hex: isText });
const NAME = { endpoint: isText, modelId: isText, commit: isText };

/** Raise a version when old records of the kind mean something else than new ones. */
const SHAPES: { readonly [K in RecordKind]: { readonly version: number; readonly isShape: Check } } = {
  blob: {
    version: 1,
    isShape: shapeOf({ key: isText, sizeBytes: isSize, hash: isHash, verifiedAtMs: isTime }),
  },
  // Of a damaged one as much is used as is proved by the file: `readJournal`.
  journal: { version: 1, isShape: isAnything },
  prepared: {
    version: 1,
    isShape: shapeOf({
      key: isText,
      converterVersion: isSize,
      dtype: isText,
      blobKeys: listOf(isText),
      sizeBytes: isSize,
      pieces: listOf(shapeOf({ start: isSize, end: isSize, hash: isText })),
      usedAtMs: isTime,
    }),
  },
  finding: { version: 1, isShape: shapeOf({ ...NAME, version: isSize, inFloat16: isText, foundAtMs: isTime }) },
  snapshot: {
    version: 1,
    isShape: shapeOf({
      ...NAME,
      source: oneOf('bundled', 'hub', 'url', 'folder'),
      revision: isText,
      files: listOf(shapeOf({ path: isText, sizeBytes: isSize, hash: orNull(isHash), url: isText })),
      resolvedAtMs: isTime,
      offline: isFlag,
    }),
  },
  usage: {
    version: 1,
    isShape: shapeOf({ ...NAME, paths: listOf(isText), lastUsedAtMs: isTime, pinned: isFlag }),
  },
  ref: { version: 1, isShape: shapeOf({ ...NAME, revision: isText, resolvedAtMs: isTime }) },
};
