/**
 * Generation: tokens from a prompt, on the path that covers what is asked for.
 *
 * In: prompt ids and settings. Out: tokens, one at a time, and a report. Guarantees: the same request gives the same tokens
 * on either path (but for what rounding decides); a cancel takes effect within one token (one chunk of a prefill); errors
 * keep their type.
 */
import { assert } from '../../base/assert.ts';
import type { FinishReason, GeneratedToken, GenerationPath } from '../../contract/generate.ts';
import { generateOnDevice } from './device-generation.ts';
import type { GenerateSettings } from './generate-settings.ts';
import { GenerationOutput } from './generation-output.ts';
import { chooseGenerationPath } from './generation-path.ts';
import type { GeneratorParts } from './generator-parts.ts';
import { generateWithTransformers } from './transformers-generation.ts';

/** How a generation ended. */
export interface GeneratorResult {
  readonly newTokens: number;
  readonly finishReason: FinishReason;
  /** See {@link GenerateReport.contextNote}. */
  readonly contextNote: string | null;
  readonly reusedTokens: number;
  readonly path: GenerationPath;
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
  const output = new GenerationOutput(parts.decodeText, promptIds, settings, onToken);
  const { path } = chooseGenerationPath(settings, parts.config, parts.decoder.tokenLoop !== null);
  const generate = path === 'gpu' ? generateOnDevice : generateWithTransformers;
  const reusedTokens = await generate(parts, promptIds, settings, output, signal);
  const { newTokens, finishReason } = output;
  assert(finishReason, 'a generation ends for a reason');
  const contextNote = finishReason === 'context' ? (output.contextNote ?? parts.decoder.explainCeiling()) : null;
  return { newTokens, finishReason, contextNote, reusedTokens, path };
}
