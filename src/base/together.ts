/**
 * Structured concurrency: several works under one signal.
 */

/**
 * Runs all works at once. The first failure fires the signal of the others; it is thrown after all of them have settled, so
 * that nothing is left running.
 */
export async function runTogether<T extends readonly unknown[]>(
  signal: AbortSignal,
  works: { readonly [K in keyof T]: (signal: AbortSignal) => Promise<T[K]> },
): Promise<T> {
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const failures: unknown[] = [];
  const results = await Promise.allSettled(
    works.map((work) =>
      work(either).catch((error: unknown) => {
        failures.push(error);
        failure.abort(error);
      }),
    ),
  );
  if (failures.length > 0) throw failures[0];
  return results.map((result) => (result.status === 'fulfilled' ? result.value : undefined)) as unknown as T;
}
