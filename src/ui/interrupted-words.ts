/**
 * What a person is told after a page that ended in the middle of a load.
 */
import type { InterruptedLoad } from '../client/load-mark.ts';

/** One paragraph: what happened, most likely why, and what to do. */
export function describeInterrupted({ modelId, dtype, device }: InterruptedLoad): string {
  const others =
    dtype === 'q4' || dtype === 'q4f16' ? 'a smaller model' : 'a smaller number format (q8 or q4) or model';
  return (
    `The last load of ${modelId} (${dtype} on ${device}) ended with the page: most likely there was not enough memory. ` +
    `Choose ${others}, or close other tabs, then press Load. What was downloaded is kept.`
  );
}
