/**
 * Functions of the page that we call: listeners of progress, states, reports.
 *
 * Guarantee: whatever such a function does (it throws, it is async and rejects, it is async and never ends), our work goes on;
 * what it throws is reported where the page looks for its errors (`window.onerror`, the console).
 */

/** Calls a listener of the page. */
export function callPage<T>(listener: (item: T) => unknown, item: T): void {
  try {
    // Not awaited: only its failure is of interest.
    void Promise.resolve(listener(item)).catch(reportError);
  } catch (error) {
    reportError(error);
  }
}

/** A listener of the page, as it is handed to the worker: answers at once, with nothing. */
export function toPageCallback<T>(listener: ((item: T) => unknown) | undefined): (item: T) => void {
  return (item) => {
    if (listener) callPage(listener, item);
  };
}
