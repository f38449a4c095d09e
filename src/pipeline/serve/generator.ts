/**
 * Generation: tokens from a prompt, on the path that covers what is asked for.
 *
 * In: prompt ids and settings. Out: tokens, one at a time, and a report. Guarantees: the same request gives the same tokens
 * on either path (but for what rounding decides), and on one after the other, where the device loses its token loop on the way;
 * a cancel takes effect within one token (one chunk of a prefill); errors keep their type.
 */
import { assert } from '../../base/assert.ts';
import type { FinishReason, GeneratedToken, GenerationPath } from '../../contract/generate.ts';
import { generateOnDevice } from './device-generation.ts';
import type { GenerateSettings } from './generate-settings.ts';
import { GenerationOutput } from './generation-output.ts';
import { chooseGenerationPath } from './generation-path.ts';
import type { PathChoice } from './generation-path.ts';
import type { GeneratorParts } from './generator-parts.ts';
import { makeRandom } from './random.ts';
import { TextStream } from './text-stream.ts';
import { generateWithTransformers } from './transformers-generation.ts';

/** How a generation ended. */
export interface GeneratorResult {
  readonly newTokens: number;
  readonly finishReason: FinishReason;
  /** See {@link GenerateReport.contextNote}. */
  readonly contextNote: string | null;
  readonly reusedTokens: number;
  readonly path: GenerationPath;
  readonly pathReason: string;
}

/**
 * Runs one generation; `onToken` is called for each new token as it comes.
 * @throws LoadError `aborted`, `device_lost`, `out_of_memory`, `runtime_failed`
 */
export async function runGeneration(
  parts: GeneratorParts,
  promptIds: readonly number[],
  settings: GenerateSettings,
  onToken: (token: GeneratedToken) => void,
  signal: AbortSignal,
): Promise<GeneratorResult> {
  const text = new TextStream(parts.openText(promptIds), settings.stops);
  const output = new GenerationOutput(text, settings, onToken);
  // Of one generation, whatever path it is on.
  const draw = settings.sampling === null ? () => 0 : makeRandom(parts.transformers, settings.seed);
  const choice = chooseGenerationPath(settings, parts.decoder.tokenLoopObstacle);
  const onDevice =
    choice.path === 'gpu' ? await generateOnDevice(parts, promptIds, settings, draw, output, signal) : null;
  const restIds = onDevice === null ? promptIds : onDevice.unfinishedIds;
  const { path, reason } = onDevice && restIds ? describeChange(parts, output.newTokens) : choice;
  const reusedTokens =
    restIds === null ? 0 : await generateWithTransformers(parts, restIds, settings, draw, output, signal);
  const { newTokens, finishReason } = output;
  assert(finishReason, 'a generation ends for a reason');
  const contextNote = finishReason === 'context' ? (output.contextNote ?? parts.decoder.explainCeiling()) : null;
  return {
    newTokens,
    finishReason,
    contextNote,
    reusedTokens: onDevice?.reusedTokens ?? reusedTokens,
    path,
    pathReason: reason,
  };
}

function describeChange({ decoder }: GeneratorParts, newTokens: number): PathChoice {
  return { path: 'transformers', reason: `after ${newTokens} tokens, because ${decoder.tokenLoopObstacle}` };
}
