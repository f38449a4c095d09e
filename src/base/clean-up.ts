/**
 * Cleaning up after work, without hiding what went wrong with it.
 *
 * In a plain `finally`, or in a `catch` that throws again at its end, an error of the clean-up takes the place of the error
 * that tells what went wrong. Guarantee of both functions: the clean-up runs once, and is waited for; the first error is the
 * one that the caller sees.
 */

/** Cleans up whatever became of the work. Where only the clean-up fails, its error is thrown. */
export async function runThenCleanUp<T>(work: () => Promise<T>, cleanUp: () => unknown): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (error) {
    throw await cleanUpAfter(error, cleanUp);
  }
  await cleanUp();
  return result;
}

/** Cleans up after a failure, and yields its error: `throw await cleanUpAfter(error, …)`. Never rejects. */
export async function cleanUpAfter(error: unknown, cleanUp: () => unknown): Promise<unknown> {
  try {
    await cleanUp();
  } catch {
    // What went wrong first is what has to be mended first.
  }
  return error;
}
