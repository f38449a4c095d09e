/**
 * The page's end of `page-server.ts`: asks for calls, runs them, posts what they yield.
 */

export const NEXT_PATH = '/bench-next';
export const RESULT_PATH = '/bench-result';

/** What the page is asked to do. */
export interface PageCall {
  readonly method: string;
  readonly args: readonly unknown[];
}

/** What came of it: one of the two. */
export interface PageResult {
  readonly value?: unknown;
  readonly error?: string;
}

/** Offers these methods for as long as the page lives. Arguments and results are JSON. */
export async function serveCalls(methods: Readonly<Record<string, (...args: never[]) => unknown>>): Promise<never> {
  for (;;) {
    const { method, args } = (await (await fetch(NEXT_PATH)).json()) as PageCall;
    const result = await runCall(methods[method], args);
    await fetch(RESULT_PATH, { method: 'POST', body: JSON.stringify(result) });
  }
}

async function runCall(
  work: ((...args: never[]) => unknown) | undefined,
  args: readonly unknown[],
): Promise<PageResult> {
  try {
    if (!work) throw new Error('no such method');
    return { value: await work(...(args as never[])) };
  } catch (error) {
    return { error: error instanceof Error ? `${error.message}\n${error.stack ?? ''}` : String(error) };
  }
}
