/**
 * Where a load's files lie, in words. Pure.
 */
import type { PlannedStorage } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';

/** What holds unless something speaks against it. */
export function usualStorage({ source }: Pick<Snapshot, 'source'>): PlannedStorage {
  return source === 'folder'
    ? { kind: 'inPlace', reason: 'The folder on this computer is read in place.' }
    : { kind: 'cache', reason: 'Every file is kept, verified: the next load reads it from this device.' };
}

/** Asked for by `cache: 'none'`. */
export const NOTHING_KEPT: PlannedStorage = {
  kind: 'none',
  reason: `As asked for, the cache is neither read nor written: ${straight()}`,
};

/** The browser gives the page no files. */
export const NO_STORAGE: PlannedStorage = {
  kind: 'none',
  reason:
    'This browser gives the page no storage for files (a private window, blocked site data, or no https): ' +
    straight(),
};

/** Without the numbers of what is missing, where the browser refused bytes that it had promised. */
export function noRoom(shortage: { readonly neededBytes: number; readonly freeBytes: number } | null): PlannedStorage {
  const why = shortage
    ? `${toMegabytes(shortage.neededBytes)} are needed in the cache and about ${toMegabytes(shortage.freeBytes)} are free`
    : 'The browser took no more bytes';
  return { kind: 'none', reason: `There is not enough storage for this model. ${why}: ${straight()}` };
}

function straight(): string {
  return 'the weights go from the network straight onto the device, and the next load downloads them again.';
}

function toMegabytes(sizeBytes: number): string {
  return `${(sizeBytes / 1e6).toFixed(1)} MB`;
}
