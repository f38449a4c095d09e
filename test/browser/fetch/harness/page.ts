/**
 * One tab of a test: `window.tab` is a worker that stands where the model worker does, with the real fetch worker below it.
 */
import * as Comlink from 'comlink';
import { installErrorTransfer } from '../../../../src/base/comlink-errors.ts';
import { toErrorData, type LoadErrorData } from '../../../../src/contract/errors.ts';
import type { TabWorker } from './tab.worker.ts';

installErrorTransfer();
const worker = new Worker(new URL('./tab.worker.ts', import.meta.url), { type: 'module' });
const tab = Comlink.wrap<TabWorker>(worker);

/** What a test sees of a call: its value, or the error as plain data. */
export type Outcome<T> =
  { readonly ok: T; readonly error: null } | { readonly ok: null; readonly error: LoadErrorData };

/** Called by tests through `page.evaluate`. */
export async function call(method: keyof TabWorker, ...args: unknown[]): Promise<Outcome<unknown>> {
  try {
    const target = tab[method] as unknown as (...args: unknown[]) => Promise<unknown>;
    return { ok: (await target(...args)) ?? null, error: null };
  } catch (error) {
    return { ok: null, error: toErrorData(error) };
  }
}

declare global {
  interface Window {
    tab: { call: typeof call; terminate: () => void };
  }
}
window.tab = { call, terminate: () => worker.terminate() };
