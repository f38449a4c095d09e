/**
 * What a load does about a model that float16 does not hold, where nobody has asked for float16.
 *
 * `dtype: 'auto'` takes q4f16 for large models on GPUs that compute in float16. Some models leave its range (65,504), or lose in
 * it what they need; the warm-up finds out. Here: what of a failed load is such a finding, how it is kept for the loads after it,
 * and how it is told. Guarantee: keeping it never fails a load.
 */
import { isLoadError } from '../../contract/errors.ts';
import type { AdapterInfo, LoadRequest } from '../../contract/load.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { readFloat16Finding, writeFloat16Finding } from '../../store/findings.ts';
import { CacheRecords } from '../../store/records.ts';
import { needsFloat16 } from '../plan/encoding.ts';

/**
 * What the warm-up saw, where it refused a dtype that 'auto' chose and that computes in float16; null for all other errors: then
 * the error is the load's.
 */
export function findFloat16Fault(
  error: unknown,
  { dtype }: Pick<LoadPlan, 'dtype'>,
  request: Pick<LoadRequest, 'dtype'>,
): string | null {
  if (request.dtype !== 'auto' || !needsFloat16(dtype)) return null;
  if (!isLoadError(error) || error.code !== 'output_mismatch') return null;
  const { finding } = error.detail;
  return typeof finding === 'string' ? finding : error.message;
}

/** Which model on what. */
export interface FindingPlace {
  readonly request: Pick<LoadRequest, 'dtype' | 'cache'>;
  readonly snapshot: Snapshot;
  readonly adapter: AdapterInfo | null;
}

/** What an earlier load saw; null where there was none, or it matters to nothing. */
export async function recallFloat16Fault(place: FindingPlace): Promise<string | null> {
  if (place.request.dtype !== 'auto' || !place.adapter?.features.includes('shader-f16')) return null;
  return attempt(place, (adapter) => readFloat16Finding(new CacheRecords(), place.snapshot, adapter));
}

/** Keeps it for the next load. False where it is not kept. */
export async function rememberFloat16Fault(place: FindingPlace, finding: string): Promise<boolean> {
  const kept = await attempt(place, async (adapter) => {
    await writeFloat16Finding(new CacheRecords(), place.snapshot, adapter, finding);
    return true;
  });
  return kept ?? false;
}

/** What the page is told: what was tried, what was seen, what is taken instead, and what that costs. */
export function describeOtherAttempt(
  tried: Pick<LoadPlan, 'dtype'>,
  taken: Pick<LoadPlan, 'dtype' | 'device' | 'costs'>,
  finding: string,
  isKept: boolean,
): string {
  const { downloadBytes, cachedBytes } = taken.costs;
  const missingBytes = downloadBytes - cachedBytes;
  return [
    `${tried.dtype}, which "auto" chose, computes in float16, in which this model gave wrong values: ${finding}`,
    `The load goes on in ${taken.dtype} on ${taken.device}, which computes in float32.`,
    missingBytes > 0
      ? `As nothing of them was kept, ${missingBytes} bytes are downloaded again.`
      : 'Nothing is downloaded again.',
    isKept
      ? `The next load of this commit on this device begins with ${taken.dtype}.`
      : 'That is not remembered: the next load tries again.',
  ].join(' ');
}

/** A folder is in no cache, so that nothing would ever remove what is kept about it. */
async function attempt<T>(
  { request, snapshot, adapter }: FindingPlace,
  work: (adapter: AdapterInfo) => Promise<T>,
): Promise<T | null> {
  if (request.cache === 'none' || snapshot.source === 'folder' || !adapter) return null;
  try {
    return await work(adapter);
  } catch {
    return null; // no storage, or none that works: this load has the finding, the next makes it again
  }
}
