/**
 * What a page, a worker, an extension may want of the library: the same few calls, in whatever realm this is imported.
 */
import { createLoader, isLoadError } from '../../../src/index.ts';
import type { ErrorCode, ErrorDetail, ModelSource } from '../../../src/index.ts';

/** What is asked for. */
export interface Wish {
  readonly endpoint: string;
  readonly model: ModelSource;
  readonly prompt: readonly number[];
  readonly maxTokens: number;
}

/** What came of it: tokens, or what was thrown. */
export interface Outcome {
  readonly ids: readonly number[];
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly detail: ErrorDetail } | null;
}

/** Loads on WebAssembly and answers. */
export function attempt({ endpoint, model: source, prompt, maxTokens }: Wish): Promise<Outcome> {
  return outcomeOf(async () => {
    const loader = createLoader({ hub: { endpoint } });
    const model = await loader.load(source, { device: 'wasm', dtype: 'fp32' });
    const ids: number[] = [];
    const options = { max_new_tokens: maxTokens, do_sample: false };
    for await (const { id } of model.generate(prompt, options)) ids.push(id);
    await loader.dispose();
    return ids;
  });
}

/** The first calls that a page may make, each on a loader of its own. */
export function attemptEach({ endpoint, model }: Wish): Promise<readonly Outcome[]> {
  const make = (): ReturnType<typeof createLoader> => createLoader({ hub: { endpoint } });
  const calls = [
    () => make().plan(model),
    () => make().load(model),
    () => make().adapter(),
    () => make().cache.list(),
    () => make().cache.persist(),
  ];
  return Promise.all(calls.map((call) => outcomeOf(() => call().then(() => []))));
}

async function outcomeOf(work: () => Promise<readonly number[]>): Promise<Outcome> {
  try {
    return { ids: await work(), error: null };
  } catch (error) {
    if (!isLoadError(error)) throw error;
    const { code, message, detail } = error;
    return { ids: [], error: { code, message, detail } };
  }
}
