/**
 * A generation by transformers.js's own `generate()` over our decoder.
 *
 * In: prompt ids, and any that another path has generated from them; settings. Out: tokens, one at a time, and a report.
 * transformers.js sees a session with one input, `input_ids`; the {@link CachedDecoder} below it runs what its KV cache does not
 * hold yet.
 * Guarantees: a cancel takes effect within one token (one chunk of a prefill); errors keep their type.
 */
import type { PreTrainedModel, Tensor } from '@huggingface/transformers';
import { abortedError } from '../../base/abort.ts';
import type { GenerateSettings } from './generate-settings.ts';
import type { GenerationOutput } from './generation-output.ts';
import type { GeneratorParts } from './generator-parts.ts';
import { sampleToken } from './sampling.ts';
import type { SamplingSettings } from './sampling.ts';

/**
 * Runs one generation, or goes on with one: `ids` end with the tokens that `output` was given already. It is given each new
 * token as it comes, and `draw` asked for a number for each that is sampled. Yields how many of `ids` were in the cache.
 * @throws LoadError `aborted`, `device_lost`, `out_of_memory`, `runtime_failed`
 */
export async function generateWithTransformers(
  parts: GeneratorParts,
  ids: readonly number[],
  settings: GenerateSettings,
  draw: () => number,
  output: GenerationOutput,
  signal: AbortSignal,
): Promise<number> {
  const { transformers } = parts;
  const session = new DecoderSession(parts, settings, output, signal);

  class Streamer extends transformers.BaseStreamer {
    #sawPrompt = false;
    override put(batch: bigint[][]): void {
      if (this.#sawPrompt && session.failure === undefined) output.push(Number(batch[0]?.[0]));
      this.#sawPrompt = true;
    }
    override end(): void {
      // Everything was emitted in put().
    }
  }
  class Stop extends transformers.StoppingCriteria {
    override _call(ids: number[][]): boolean[] {
      const stop = session.failure !== undefined || signal.aborted || output.finishReason !== null;
      return ids.map(() => stop);
    }
  }

  const processors = new transformers.LogitsProcessorList();
  const { sampling } = settings;
  if (sampling !== null) processors.push(makeSampler(parts, sampling, draw));
  const inputs = new transformers.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
  await makeModel(parts, session).generate({
    inputs,
    ...listKeywords(settings, output.newTokens),
    logits_processor: processors,
    stopping_criteria: [new Stop()],
    streamer: new Streamer(),
  } as unknown as Parameters<PreTrainedModel['generate']>[0]);

  if (session.failure !== undefined) throw session.failure as Error;
  if (signal.aborted) throw abortedError(signal);
  return session.reusedTokens;
}

/**
 * The settings in transformers.js's words, all of them: what is left out it would take from config.json. `newTokens` were
 * generated already, on another path.
 */
function listKeywords(settings: GenerateSettings, newTokens: number): Readonly<Record<string, unknown>> {
  const eosIds = [...settings.eosIds];
  // As in transformers, and unlike transformers.js, an end token is no bad word.
  const badWords = settings.badWordsIds.filter(([id, ...more]) => more.length > 0 || !settings.eosIds.has(id ?? -1));
  return {
    max_new_tokens: settings.maxNewTokens - newTokens,
    min_new_tokens: Math.max(0, settings.minNewTokens - newTokens),
    min_length: 0,
    repetition_penalty: settings.repetitionPenalty,
    no_repeat_ngram_size: settings.noRepeatNgramSize,
    bad_words_ids: badWords.length > 0 ? badWords : null,
    suppress_tokens: settings.suppressedIds.length > 0 ? settings.suppressedIds : null,
    begin_suppress_tokens:
      newTokens === 0 && settings.beginSuppressedIds.length > 0 ? settings.beginSuppressedIds : null,
    forced_bos_token_id: settings.forcedBosId,
    forced_eos_token_id: settings.forcedEosId,
    eos_token_id: eosIds.length > 0 ? eosIds : null,
    // Sampling is done by our processor, after transformers.js's own; what is left to choose is the one token it leaves.
    do_sample: false,
    num_beams: 1,
    num_return_sequences: 1,
    guidance_scale: null,
  };
}

/**
 * What transformers.js takes for an onnxruntime session. It never rejects: transformers.js chains all runs of the page on
 * one promise, which a single rejection would poison; a failure is kept and ends the generation through its criteria.
 */
class DecoderSession {
  readonly inputNames = ['input_ids'];
  readonly outputNames = ['logits'];
  readonly inputMetadata = [{ name: 'input_ids', isTensor: true, type: 'int64', shape: ['batch', 'sequence'] }];
  readonly config = { dtype: 'fp32', device: 'webgpu' };
  failure: unknown;
  reusedTokens = -1;
  readonly #parts: GeneratorParts;
  readonly #settings: GenerateSettings;
  readonly #output: GenerationOutput;
  readonly #signal: AbortSignal;
  /** transformers.js passes the prompt first, then each new token alone. */
  readonly #sequence: number[] = [];

  constructor(parts: GeneratorParts, settings: GenerateSettings, output: GenerationOutput, signal: AbortSignal) {
    this.#parts = parts;
    this.#settings = settings;
    this.#output = output;
    this.#signal = signal;
  }

  async run(feeds: Record<string, { readonly data: BigInt64Array }>) {
    const { ort, decoder, vocabSize } = this.#parts;
    let logits = new Float32Array(vocabSize);
    try {
      for (const id of feeds['input_ids']?.data ?? []) this.#sequence.push(Number(id));
      await this.#makeRoom();
      logits = new Float32Array(await decoder.logitsFor(this.#sequence, this.#signal));
      if (this.reusedTokens < 0) this.reusedTokens = decoder.reusedTokens;
    } catch (error) {
      this.failure = error;
    }
    return { logits: new ort.Tensor('float32', logits, [1, 1, vocabSize]) };
  }

  /** For the token that this run gives and, unless it is the last that was asked for, one more: its text is whole only if it is known to be the last. */
  async #makeRoom(): Promise<void> {
    if (this.#output.newTokens + 1 >= this.#settings.maxNewTokens) return;
    const obstacle = await this.#parts.decoder.makeRoom(this.#sequence, 2, this.#signal);
    if (obstacle !== null) this.#output.endWithNext(obstacle);
  }

  release(): Promise<void> {
    return Promise.resolve(); // the model's owner releases the decoder
  }
}

function makeModel({ transformers, config }: GeneratorParts, session: DecoderSession): PreTrainedModel {
  // The class decides how transformers.js prepares inputs, which is the same for every decoder-only model.
  return new transformers.LlamaForCausalLM(new transformers.PretrainedConfig({ ...config }), { model: session }, {});
}

/** A processor that draws the token and leaves only it possible. */
function makeSampler({ transformers }: GeneratorParts, sampling: SamplingSettings, draw: () => number) {
  class Sampler extends transformers.LogitsProcessor {
    override _call(_ids: bigint[][], logits: Tensor): Tensor {
      const scores = logits.data as Float32Array;
      const id = sampleToken(scores, sampling, draw);
      scores.fill(-Infinity);
      scores[id] = 0;
      return logits;
    }
  }
  return new Sampler();
}
