/**
 * Errors across a comlink boundary, whole.
 *
 * Comlink's own 'throw' handler carries message, name and stack only: code, stage, retryable, detail and cause are lost.
 * {@link installErrorTransfer} replaces it; both sides of every boundary call it before their first message.
 */
import * as Comlink from 'comlink';
import { fromErrorData, toErrorData } from '../contract/errors.ts';
import type { LoadErrorData } from '../contract/errors.ts';

/** Makes everything thrown across comlink in this realm arrive as a LoadError. Calling it again changes nothing. */
export function installErrorTransfer(): void {
  const current = Comlink.transferHandlers.get('throw');
  if (!current || installed.has(current)) return;
  const handler: Comlink.TransferHandler<unknown, LoadErrorData> = {
    // Comlink marks what was thrown with a symbol that it does not export: only its own handler can recognise it.
    canHandle: (value): value is unknown => current.canHandle(value),
    serialize: (thrown) => [toCloneable(toErrorData((thrown as { value: unknown }).value)), []],
    deserialize: (data) => {
      throw fromErrorData(data);
    },
  };
  installed.add(handler);
  Comlink.transferHandlers.set('throw', handler);
}

const installed = new WeakSet<object>();

/** A detail that cannot be cloned (a function, a DOM object) must not turn the error into another error. */
function toCloneable(data: LoadErrorData): LoadErrorData {
  try {
    structuredClone(data);
    return data;
  } catch {
    return { ...data, detail: {}, cause: null };
  }
}
