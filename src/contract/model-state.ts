/**
 * What becomes of a model after it was loaded. Plain data.
 *
 * ```
 *   ready ─► rebuilding ─► ready        (its GPU device was lost, or had no room in the middle of a request; attempts are bounded)
 *                 └──────► failed       (for good: dispose it, and load again)
 * ```
 */
import type { LoadErrorData } from './errors.ts';
import type { LoadReport, ModelInfo } from './load.ts';

/** Whether a model takes requests; while it is rebuilt they wait. */
export type ModelState =
  | { readonly status: 'ready'; readonly info: ModelInfo; readonly report: LoadReport }
  | {
      readonly status: 'rebuilding';
      /** From 1. */
      readonly attempt: number;
      /** `device_lost` or `out_of_memory` at first, then why the attempt before this one failed. */
      readonly reason: LoadErrorData;
    }
  | { readonly status: 'failed'; readonly error: LoadErrorData };
