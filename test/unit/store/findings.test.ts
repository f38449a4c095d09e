/** What loads found out about a model on a device, over records in memory. */
import { describe, expect, it } from 'vitest';
import type { Snapshot } from '../../../src/contract/snapshot.ts';
import { readFloat16Finding, sweepFindings, writeFloat16Finding } from '../../../src/store/findings.ts';
import type { FindingRecord, RecordChange } from '../../../src/store/records.ts';
import { toSnapshotKey } from '../../../src/store/records.ts';

const NAME = { endpoint: 'https://hub.example', modelId: 'a/b', commit: 'c1' };
const ADAPTER = { vendor: 'v', architecture: 'a', device: 'd', description: 'x' };
const SEEN = 'Logit 3 of a first prompt is NaN.';

function openRecords() {
  const findings = new Map<string, FindingRecord>();
  const snapshots = new Map<string, Snapshot>();
  return {
    findings,
    snapshots,
    getFinding: (key: string) => Promise.resolve(findings.get(key) ?? null),
    listFindings: () => Promise.resolve(findings),
    listSnapshots: () => Promise.resolve(snapshots),
    change: (changes: readonly RecordChange[]) => {
      for (const { kind, key, value } of changes) {
        if (kind !== 'finding') throw new Error(kind);
        if (value) findings.set(key, value);
        else findings.delete(key);
      }
      return Promise.resolve();
    },
  };
}

describe('a finding', () => {
  it('is of one commit on one adapter', async () => {
    const records = openRecords();
    await writeFloat16Finding(records, NAME, ADAPTER, SEEN);
    expect(await readFloat16Finding(records, NAME, { ...ADAPTER })).toBe(SEEN);
    for (const [key, value] of Object.entries(ADAPTER)) {
      expect(await readFloat16Finding(records, NAME, { ...ADAPTER, [key]: `${value}2` })).toBeNull();
    }
    for (const [key, value] of Object.entries(NAME)) {
      expect(await readFloat16Finding(records, { ...NAME, [key]: `${value}2` }, ADAPTER)).toBeNull();
    }
  });

  it('of another version is none, and the next one takes its place', async () => {
    const records = openRecords();
    await writeFloat16Finding(records, NAME, ADAPTER, 'old');
    for (const [key, value] of records.findings) records.findings.set(key, { ...value, version: value.version - 1 });
    expect(await readFloat16Finding(records, NAME, ADAPTER)).toBeNull();
    await writeFloat16Finding(records, NAME, ADAPTER, SEEN);
    expect(await readFloat16Finding(records, NAME, ADAPTER)).toBe(SEEN);
    expect(records.findings.size).toBe(1);
  });

  it('goes with its snapshot, on every adapter', async () => {
    const records = openRecords();
    const other = { ...NAME, commit: 'c2' };
    for (const name of [NAME, other]) {
      await writeFloat16Finding(records, name, ADAPTER, SEEN);
      await writeFloat16Finding(records, name, { ...ADAPTER, vendor: 'w' }, SEEN);
    }
    records.snapshots.set(toSnapshotKey(other), { ...other } as Snapshot);
    await sweepFindings(records);
    expect([...records.findings.values()].map(({ commit }) => commit)).toEqual(['c2', 'c2']);
  });
});
