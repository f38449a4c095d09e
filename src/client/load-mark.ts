/**
 * A mark of a load that is under way, for the page after a crash: a page that ran out of memory is gone without a word, and the
 * browser loads it again (iOS does so by itself). A page that began the same load again would do that for ever.
 *
 * In: the events of loads. Out: {@link InterruptedLoad}, where the mark of this tab's last page is still there. Guarantees: the
 * mark is there from the stage that takes the memory until the load is ready, failed or cancelled, or the page is left in
 * the regular way; and after a crash until a load ends in any of these. What the browser refuses to store is no fault of a load.
 *
 * It is kept in sessionStorage, which belongs to the tab and outlives its page: another tab's load is not meant, and neither
 * is one of last week.
 */
import type { LoadEvent, PlanSummary } from '../contract/load.ts';

/** A load that ended with its page. */
export type InterruptedLoad = Pick<PlanSummary, 'modelId' | 'dtype' | 'device'>;

/** Follows one load. */
export interface LoadWatch {
  note(event: LoadEvent): void;
  end(): void;
}

const KEY = 'firstlight.load-under-way';

/** Undefined until somebody asks: what is stored then is the last page's. */
let interrupted: InterruptedLoad | null | undefined;

const underWay = new Map<LoadWatch, InterruptedLoad>();

/** The load that the last page of this tab ended in; null where there is none, and in workers, which have no tab. */
export function readInterruptedLoad(): InterruptedLoad | null {
  if (interrupted === undefined) interrupted = parseMark(access((storage) => storage.getItem(KEY)));
  return interrupted;
}

/** Marks a load while it takes memory. */
export function watchLoad(): LoadWatch {
  readInterruptedLoad(); // before this one takes its place
  let planned: InterruptedLoad | null = null;
  let ended = false;
  const watch: LoadWatch = {
    note(event) {
      if (ended) return; // events may come after the call that they belong to
      if (event.type === 'plan') {
        const { modelId, dtype, device } = event.plan;
        planned = { modelId, dtype, device };
      } else if (event.type === 'stageStart' && event.stage === 'place' && planned !== null) {
        underWay.set(watch, planned);
        store();
      }
    },
    end() {
      ended = true;
      interrupted = null;
      underWay.delete(watch);
      store();
    },
  };
  return watch;
}

function store(): void {
  const latest = [...underWay.values()].at(-1);
  access((storage) => {
    if (latest) addEventListener('pagehide', forget);
    else removeEventListener('pagehide', forget);
    if (latest) storage.setItem(KEY, JSON.stringify(latest));
    else storage.removeItem(KEY);
  });
}

/** Left in the regular way: whatever is still under way ends with the page, because somebody wanted it to. */
function forget(): void {
  access((storage) => storage.removeItem(KEY));
}

function access<T>(work: (storage: Storage) => T): T | null {
  try {
    // Absent in workers; forbidden to pages that may keep no data, for which looking at it throws.
    const storage = (globalThis as { sessionStorage?: Storage }).sessionStorage;
    return storage ? work(storage) : null;
  } catch {
    return null;
  }
}

function parseMark(text: string | null): InterruptedLoad | null {
  if (text === null) return null;
  try {
    const { modelId, dtype, device } = (JSON.parse(text) ?? {}) as Partial<Record<string, unknown>>;
    const isText = typeof modelId === 'string' && typeof dtype === 'string' && typeof device === 'string';
    return isText ? ({ modelId, dtype, device } as InterruptedLoad) : null;
  } catch {
    return null;
  }
}
