/**
 * A generation by the token loop: JavaScript submits steps ahead and reads ids behind.
 *
 * ```
 *   submit:  prefill, choose 0 │ run 0, choose 1 │ run 1, choose 2 │ run 2, choose 3 │ …
 *   read:                              id 0            id 1              id 2
 * ```
 *
 * In: prompt ids and settings. Out: tokens as they are read. Guarantees: at most {@link STEPS_AHEAD} choices are under way,
 * so that a cancel, an end token or a stop string wastes no more than that; what was computed beyond the end is dropped; the
 * decoder's account of its cache names what was run and read, and nothing else.
 */
import { raceAbort, throwIfAborted } from '../../base/abort.ts';
import { assert } from '../../base/assert.ts';
import type { GenerateSettings } from './generate-settings.ts';
import type { GenerationOutput } from './generation-output.ts';
import type { GeneratorParts } from './generator-parts.ts';
import { makeRandom } from './random.ts';

/**
 * Enough that the GPU finds its next step while an id is on its way back and JavaScript handles it: a map takes a browser
 * some milliseconds, which is a few steps of a small model on a fast GPU.
 */
const STEPS_AHEAD = 4;

/**
 * Runs one generation; `output` is given each new token as it comes. Yields how many prompt tokens were in the cache.
 * @throws LoadError `aborted`, `device_lost`, `out_of_memory`, `runtime_failed`
 */
export async function generateOnDevice(
  { decoder, transformers }: Pick<GeneratorParts, 'decoder' | 'transformers'>,
  promptIds: readonly number[],
  settings: GenerateSettings,
  output: GenerationOutput,
  signal: AbortSignal,
): Promise<number> {
  const loop = decoder.tokenLoop;
  assert(loop, 'there is no token loop');
  await decoder.prefillFor(promptIds, signal);
  const { reusedTokens } = decoder;
  const { maxNewTokens, minNewTokens, sampling, repetitionPenalty, eosIds } = settings;
  loop.begin(promptIds, { repetitionPenalty, sampling, forbiddenIds: minNewTokens > 0 ? [...eosIds] : [] });
  const random = sampling === null ? () => 0 : makeRandom(transformers, settings.seed);

  const pending: Promise<number>[] = [];
  const readIds: number[] = [];
  let chosenCount = 0;
  let ranCount = 0; // of the chosen tokens
  const choose = (): void => {
    const step = { position: promptIds.length + chosenCount, draw: random(), forbid: chosenCount < minNewTokens };
    pending.push(loop.choose(step));
    chosenCount++;
  };
  try {
    choose();
    while (output.finishReason === null) {
      throwIfAborted(signal);
      if (chosenCount < maxNewTokens && pending.length < STEPS_AHEAD) {
        await loop.advance();
        ranCount++;
        choose();
        continue;
      }
      const oldest = pending.shift();
      assert(oldest !== undefined, 'a generation that goes on has a choice under way');
      const id = await raceAbort(oldest, signal);
      readIds.push(id);
      output.push(id);
    }
  } catch (error) {
    // An abort leaves the device's queue in order; after any other failure nobody knows what ran.
    if (!signal.aborted) {
      decoder.reset();
      throw error;
    }
  }
  // Tokens that ran but were never read are in the cache too, behind these; the next run writes over them.
  decoder.append(readIds.slice(0, ranCount));
  throwIfAborted(signal);
  return reusedTokens;
}
