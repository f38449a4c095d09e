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
 * decoder's account of its cache names what was run and read, and nothing else. Where the cache is full, all that is under way
 * is read, the cache grows, and the generation goes on as from a prompt whose last token is new; by other means, if the device
 * cannot decode from the longer cache.
 */
import { raceAbort, throwIfAborted } from '../../base/abort.ts';
import { assert } from '../../base/assert.ts';
import type { GenerateSettings } from './generate-settings.ts';
import type { GenerationOutput } from './generation-output.ts';
import { listForbidden } from './generation-path.ts';
import type { GeneratorParts } from './generator-parts.ts';

/**
 * Enough that the GPU finds its next step while an id is on its way back and JavaScript handles it: a map takes a browser
 * some milliseconds, which is a few steps of a small model on a fast GPU.
 */
const STEPS_AHEAD = 4;

/** How far a generation came. */
export interface DeviceGeneration {
  /** Prompt tokens that were in the cache. */
  readonly reusedTokens: number;
  /** All ids, the prompt's too, that are to be gone on from where the token loop was lost on the way; null where it ended. */
  readonly unfinishedIds: readonly number[] | null;
}

/**
 * Runs one generation; `output` is given each new token as it comes, and `draw` asked for a number for each.
 * @throws LoadError `aborted`, `device_lost`, `out_of_memory`, `runtime_failed`
 */
export async function generateOnDevice(
  { decoder }: Pick<GeneratorParts, 'decoder'>,
  promptIds: readonly number[],
  settings: GenerateSettings,
  draw: () => number,
  output: GenerationOutput,
  signal: AbortSignal,
): Promise<DeviceGeneration> {
  const { maxNewTokens, sampling, repetitionPenalty, eosIds } = settings;
  const [forbidden = { ids: [], steps: 0 }, ...others] = listForbidden(settings);
  assert(others.length === 0, 'such settings take another path');
  const rule = { repetitionPenalty, sampling, forbiddenIds: forbidden.ids };
  const loop = decoder.tokenLoop;
  assert(loop, 'there is no token loop');
  await decoder.prefillFor(promptIds, signal);
  const { reusedTokens } = decoder;
  loop.begin(promptIds, rule);

  const pending: Promise<number>[] = [];
  const readIds: number[] = [];
  let chosenCount = 0;
  let submittedCount = 0; // of the chosen tokens, those that run
  let ranCount = 0; // of these, those that are known to
  let bookedCount = 0; // of these, those that the decoder knows of
  const choose = (): void => {
    const step = { position: promptIds.length + chosenCount, draw: draw(), forbid: chosenCount < forbidden.steps };
    pending.push(loop.choose(step));
    chosenCount++;
  };
  /** Tokens that ran but were never read are in the cache too, behind these; the next run writes over them, or rewinds. */
  const book = (): void => {
    decoder.append(readIds.slice(bookedCount, ranCount), submittedCount > Math.min(readIds.length, ranCount));
    bookedCount = Math.min(readIds.length, ranCount);
  };
  /** Goes on in a cache that has grown: the last token that was read runs, and all of them count as seen. */
  const resume = async (): Promise<void> => {
    const ids = [...promptIds, ...readIds];
    await decoder.prefillFor(ids, signal);
    bookedCount = ranCount = submittedCount = readIds.length;
    loop.begin(ids, rule);
  };
  try {
    choose();
    while (output.finishReason === null) {
      throwIfAborted(signal);
      const hasRoom = promptIds.length + chosenCount < decoder.contextTokens;
      if (chosenCount < maxNewTokens && hasRoom && pending.length < STEPS_AHEAD) {
        if (pending.length === 0) {
          if (decoder.tokenLoopObstacle !== null) break;
          await resume();
        } else {
          submittedCount++;
          await loop.advance(signal);
          ranCount++;
        }
        choose();
        continue;
      }
      const oldest = pending.shift();
      assert(oldest !== undefined, 'a generation that goes on has a choice under way');
      const id = await raceAbort(oldest, signal);
      readIds.push(id);
      // All was read, and more is wanted: the cache is full.
      if (pending.length === 0 && chosenCount < maxNewTokens && !eosIds.has(id)) {
        book();
        const obstacle = await decoder.makeRoom([...promptIds, ...readIds], 1, signal);
        if (obstacle !== null) output.endWithNext(obstacle);
      }
      output.push(id);
    }
  } catch (error) {
    // An abort leaves the device's queue in order; after any other failure nobody knows what ran.
    if (!signal.aborted) {
      decoder.reset();
      throw error;
    }
  }
  book();
  throwIfAborted(signal);
  return { reusedTokens, unfinishedIds: output.finishReason === null ? [...promptIds, ...readIds] : null };
}
