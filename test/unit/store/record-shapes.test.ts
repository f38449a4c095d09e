import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readRecord, stampRecord } from '../../../src/store/record-shapes.ts';
import type { RecordKind, RecordTypes } from '../../../src/store/records.ts';

const NAME = { endpoint: 'https://hub.test', modelId: 'a/b', commit: 'c0ffee' };
const HASH = { algorithm: 'sha256', hex: 'ab'.repeat(32) } as const;

/** One of each kind. */
const RECORDS: { readonly [K in RecordKind]: RecordTypes[K] } = {
  blob: { key: 'sha256-ab', sizeBytes: 10, hash: HASH, verifiedAtMs: 1 },
  journal: { sizeBytes: 10, etag: null, intervals: [{ start: 0, end: 5 }], hash: null, updatedAtMs: 1 },
  prepared: {
    key: 'p',
    converterVersion: 3,
    dtype: 'q4',
    blobKeys: ['sha256-ab'],
    sizeBytes: 10,
    pieces: [{ start: 0, end: 10, hash: '00' }],
    usedAtMs: 1,
  },
  finding: { ...NAME, version: 1, inFloat16: 'It overflows.', foundAtMs: 1 },
  snapshot: {
    ...NAME,
    source: 'hub',
    revision: 'main',
    files: [{ path: 'config.json', sizeBytes: 2, hash: HASH, url: 'https://hub.test/config.json' }],
    resolvedAtMs: 1,
    offline: false,
  },
  usage: { ...NAME, paths: ['config.json'], lastUsedAtMs: 1, pinned: false },
  ref: { ...NAME, revision: 'main', resolvedAtMs: 1 },
};
const KINDS = Object.keys(RECORDS) as RecordKind[];
/** What is read of a damaged journal is proved against its file (journal.test.ts). */
const CHECKED = KINDS.filter((kind) => kind !== 'journal');

type Path = readonly (string | number)[];

/** Every place of a value, its own included. */
function listPaths(value: unknown, path: Path = []): readonly Path[] {
  if (typeof value !== 'object' || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([name, item]) => listPaths(item, [...path, name]))];
}

function replaceAt(value: unknown, [name, ...rest]: Path, damage: unknown): unknown {
  if (name === undefined) return damage;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value)
    ? [...(value as unknown[])]
    : { ...(value as object) };
  const fields = copy as Record<string, unknown>;
  fields[name] = replaceAt(fields[name], rest, damage);
  return copy;
}

const readAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((item, name) => (item as Record<string, unknown>)[name], value);

describe('records', () => {
  it('come back as they were written; those of before there were versions are still read', () => {
    for (const kind of KINDS) {
      const record = RECORDS[kind];
      expect(readRecord(kind, structuredClone(stampRecord(kind, record))), kind).toEqual(record);
      expect(readRecord(kind, structuredClone(record)), kind).toEqual(record);
    }
  });

  it('of another version are as none', () => {
    for (const kind of KINDS) {
      for (const recordVersion of [0, 2, '1', {}]) {
        expect(readRecord(kind, { ...RECORDS[kind], recordVersion }), kind).toBeNull();
      }
    }
  });

  const damaged = fc.constantFrom(...CHECKED).chain((kind) =>
    fc.record({
      kind: fc.constant(kind),
      path: fc.constantFrom(...listPaths(RECORDS[kind])),
      damage: fc.anything({ withBigInt: true, withMap: true, withNullPrototype: true }),
    }),
  );

  it('with a place of another type are as none, wherever the place is', () => {
    fc.assert(
      fc.property(damaged, ({ kind, path, damage }) => {
        const before = readAt(RECORDS[kind], path);
        const sameType = Array.isArray(before) ? Array.isArray(damage) : typeof damage === typeof before;
        fc.pre(!sameType && !(damage === null && path.at(-1) === 'hash' && kind === 'snapshot'));
        expect(readRecord(kind, replaceAt(RECORDS[kind], path, damage))).toBeNull();
      }),
      { numRuns: 2_000 },
    );
  });

  it('without one of their places are as none', () => {
    for (const kind of CHECKED) {
      for (const path of listPaths(RECORDS[kind]).filter(({ length }) => length > 0)) {
        expect(readRecord(kind, replaceAt(RECORDS[kind], path, undefined)), `${kind} ${path.join('.')}`).toBeNull();
      }
    }
  });

  it('whatever IndexedDB gives back, nothing throws', () => {
    fc.assert(
      fc.property(fc.constantFrom(...KINDS), fc.anything({ withNullPrototype: true }), (kind, value) => {
        readRecord(kind, value);
      }),
    );
    fc.assert(
      fc.property(damaged, ({ kind, path, damage }) => {
        readRecord(kind, replaceAt(RECORDS[kind], path, damage));
      }),
    );
  });
});
