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

/**
 * Runs `main` beside `side`, whose promise it gets, to await where it needs the result. As {@link runTogether}: the first failure
 * ends the other, and nothing is left running. What `main` has made when it fails is for `main` to give back.
 */
export async function runBeside<S, T>(
  signal: AbortSignal,
  side: (signal: AbortSignal) => Promise<S>,
  main: (side: Promise<S>, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  let begun: Promise<S>;
  const [, result] = await runTogether<readonly [S, T]>(signal, [
    (either) => (begun = side(either)),
    (either) => main(begun, either),
  ]);
  return result;
}
