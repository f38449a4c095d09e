/**
 * A generation by transformers.js's own `generate()` over our decoder.
 *
 * In: prompt ids, and any that another path has generated from them; settings. Out: tokens, one at a time, and a report.
 * transformers.js sees a model with one input, `input_ids`; the {@link CachedDecoder} below it runs what its KV cache does not
 * hold yet. The model is ours from `forward` on: transformers.js would have all models of the worker wait in one chain of
 * promises, each for the whole prompt of another, where the runtime's own queue lets them take turns.
 * Guarantees: a cancel takes effect within one token (one chunk of a prefill); errors keep their type.
 */
import type { PreTrainedModel, Tensor } from '@huggingface/transformers';
import { throwIfAborted } from '../../base/abort.ts';
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
  const steps = new DecoderSteps(parts, settings, output, signal);

  class Streamer extends transformers.BaseStreamer {
    #sawPrompt = false;
    override put(batch: bigint[][]): void {
      if (this.#sawPrompt) output.push(Number(batch[0]?.[0]));
      this.#sawPrompt = true;
    }
    override end(): void {
      // Everything was emitted in put().
    }
  }
  class Stop extends transformers.StoppingCriteria {
    override _call(ids: number[][]): boolean[] {
      const stop = signal.aborted || output.finishReason !== null;
      return ids.map(() => stop);
    }
  }

  const processors = new transformers.LogitsProcessorList();
  const { sampling } = settings;
  if (sampling !== null) processors.push(makeSampler(parts, sampling, draw));
  const inputs = new transformers.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
  await makeModel(parts, steps).generate({
    inputs,
    ...listKeywords(settings, output.newTokens),
    logits_processor: processors,
    stopping_criteria: [new Stop()],
    streamer: new Streamer(),
  } as unknown as Parameters<PreTrainedModel['generate']>[0]);

  throwIfAborted(signal);
  return steps.reusedTokens;
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

/** The forward passes of one generation. */
class DecoderSteps {
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

  /** Logits [1, 1, vocabSize] after the last of these ids and all before them. */
  async run(ids: BigInt64Array): Promise<Tensor> {
    const { transformers, decoder, vocabSize } = this.#parts;
    for (const id of ids) this.#sequence.push(Number(id));
    await this.#makeRoom();
    // A copy: the processors write into it.
    const logits = new Float32Array(await decoder.logitsFor(this.#sequence, this.#signal));
    if (this.reusedTokens < 0) this.reusedTokens = decoder.reusedTokens;
    return new transformers.Tensor('float32', logits, [1, 1, vocabSize]);
  }

  /** For the token that this run gives and, unless it is the last that was asked for, one more: its text is whole only if it is known to be the last. */
  async #makeRoom(): Promise<void> {
    if (this.#output.newTokens + 1 >= this.#settings.maxNewTokens) return;
    const obstacle = await this.#parts.decoder.makeRoom(this.#sequence, 2, this.#signal);
    if (obstacle !== null) this.#output.endWithNext(obstacle);
  }
}

function makeModel({ transformers, config }: GeneratorParts, steps: DecoderSteps): PreTrainedModel {
  // What transformers.js asks of a session while it prepares the inputs.
  const session = { inputNames: ['input_ids'], config: {} };
  // The class decides how it does that, which is the same for every decoder-only model; it has to be one that it knows.
  const model = new transformers.LlamaForCausalLM(
    new transformers.PretrainedConfig({ ...config }),
    { model: session },
    {},
  );
  model.forward = async ({ input_ids: ids }: { readonly input_ids: Tensor }) => ({
    logits: await steps.run(ids.data as BigInt64Array),
  });
  return model;
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
