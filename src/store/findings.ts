/**
 * What loads found out about a model on a device, for the loads after them: that it gives wrong values in float16 there.
 *
 * A record for each snapshot and adapter. Guarantees: one of another version is as good as none; it goes with its snapshot,
 * and {@link sweepFindings} removes what has none.
 */
import type { AdapterInfo } from '../contract/load.ts';
import type { CacheRecords, SnapshotName } from './records.ts';
import { toSnapshotKey } from './records.ts';

/** By what an adapter is known again. Browsers that name nothing have one adapter a page. */
export type AdapterName = Pick<AdapterInfo, 'vendor' | 'architecture' | 'device' | 'description'>;

type Records = Pick<CacheRecords, 'getFinding' | 'listFindings' | 'listSnapshots' | 'change'>;

/** Raise it when float16 is computed in another way, so that what was found before may no longer hold. */
const VERSION = 1;

/** What a load saw in float16; null where none of this version saw anything wrong. */
export async function readFloat16Finding(
  records: Pick<Records, 'getFinding'>,
  snapshot: SnapshotName,
  adapter: AdapterName,
): Promise<string | null> {
  const record = await records.getFinding(toFindingKey(snapshot, adapter));
  return record?.version === VERSION ? record.inFloat16 : null;
}

/** Replaces what was there. */
export async function writeFloat16Finding(
  records: Pick<Records, 'change'>,
  { endpoint, modelId, commit }: SnapshotName,
  adapter: AdapterName,
  inFloat16: string,
): Promise<void> {
  const value = { version: VERSION, endpoint, modelId, commit, inFloat16, foundAtMs: Date.now() };
  await records.change([{ kind: 'finding', key: toFindingKey(value, adapter), value }]);
}

/** Removes the findings of snapshots that have no record. */
export async function sweepFindings(
  records: Pick<Records, 'listFindings' | 'listSnapshots' | 'change'>,
): Promise<void> {
  // In this order: a finding is never there before its snapshot is.
  const findings = [...(await records.listFindings())];
  const snapshots = await records.listSnapshots();
  const orphans = findings.filter(([, name]) => !snapshots.has(toSnapshotKey(name)));
  if (orphans.length > 0) await records.change(orphans.map(([key]) => ({ kind: 'finding', key, value: null })));
}

function toFindingKey(snapshot: SnapshotName, { vendor, architecture, device, description }: AdapterName): string {
  return `${toSnapshotKey(snapshot)} ${JSON.stringify([vendor, architecture, device, description])}`;
}
