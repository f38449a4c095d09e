/**
 * Generation: transformers.js's own `generate()` over our decoder.
 *
 * In: prompt ids and settings. Out: tokens, one at a time, and a report. transformers.js sees a session with one input,
 * `input_ids`; the {@link CachedDecoder} below it runs what its KV cache does not hold yet.
 * Guarantees: a cancel takes effect within one token (one chunk of a prefill); errors keep their type.
 */
import type { PreTrainedModel, Tensor } from '@huggingface/transformers';
import { abortedError } from '../../base/abort.ts';
import type { FinishReason, GeneratedToken } from '../../contract/generate.ts';
import type { Ort } from '../../runtime/onnxruntime.ts';
import type { Transformers } from '../../runtime/transformers.ts';
import type { CachedDecoder } from './cached-decoder.ts';
import type { GenerateSettings } from './generate-settings.ts';
import { sampleToken } from './sampling.ts';
import { TextStream } from './text-stream.ts';

/** What a generation needs besides its prompt. */
export interface GeneratorParts {
  readonly ort: Ort;
  readonly transformers: Transformers;
  readonly decoder: CachedDecoder;
  /** config.json, as transformers.js takes it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly vocabSize: number;
  readonly decodeText: (ids: readonly number[]) => string;
}

/** How a generation ended. */
export interface GeneratorResult {
  readonly newTokens: number;
  readonly finishReason: FinishReason;
  readonly reusedTokens: number;
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
  const { transformers } = parts;
  const text = new TextStream(parts.decodeText, promptIds, settings.stops);
  const session = new DecoderSession(parts, signal);
  let newTokens = 0;
  let lastId = -1;

  class Streamer extends transformers.BaseStreamer {
    #sawPrompt = false;
    override put(batch: bigint[][]): void {
      if (!this.#sawPrompt) {
        this.#sawPrompt = true;
        return;
      }
      if (session.failure !== undefined) return;
      lastId = Number(batch[0]?.[0]);
      newTokens++;
      const isLast = settings.eosIds.has(lastId) || newTokens === settings.maxNewTokens;
      onToken({ id: lastId, text: text.push(lastId, isLast) });
    }
    override end(): void {
      // Everything was emitted in put().
    }
  }
  class Stop extends transformers.StoppingCriteria {
    override _call(ids: number[][]): boolean[] {
      const stop = session.failure !== undefined || signal.aborted || text.stopped;
      return ids.map(() => stop);
    }
  }

  const processors = new transformers.LogitsProcessorList();
  if (settings.sampling !== null) processors.push(makeSampler(transformers, settings));
  const inputs = new transformers.Tensor('int64', BigInt64Array.from(promptIds, BigInt), [1, promptIds.length]);
  await makeModel(parts, session).generate({
    inputs,
    max_new_tokens: settings.maxNewTokens,
    min_new_tokens: settings.minNewTokens,
    repetition_penalty: settings.repetitionPenalty,
    eos_token_id: settings.eosIds.size > 0 ? [...settings.eosIds] : null,
    // Sampling is done by our processor, after transformers.js's own; what is left to choose is the one token it leaves.
    do_sample: false,
    logits_processor: processors,
    stopping_criteria: [new Stop()],
    streamer: new Streamer(),
  } as unknown as Parameters<PreTrainedModel['generate']>[0]);

  if (session.failure !== undefined) throw session.failure as Error;
  if (signal.aborted) throw abortedError(signal);
  const finishReason = text.stopped
    ? 'stop'
    : settings.eosIds.has(lastId)
      ? 'eos'
      : settings.limitedByContext
        ? 'context'
        : 'length';
  return { newTokens, finishReason, reusedTokens: session.reusedTokens };
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
  readonly #signal: AbortSignal;
  /** transformers.js passes the prompt first, then each new token alone. */
  readonly #sequence: number[] = [];

  constructor(parts: GeneratorParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  async run(feeds: Record<string, { readonly data: BigInt64Array }>) {
    const { ort, decoder, vocabSize } = this.#parts;
    let logits = new Float32Array(vocabSize);
    try {
      this.#sequence.push(...Array.from(feeds['input_ids']?.data ?? [], Number));
      logits = new Float32Array(await decoder.logitsFor(this.#sequence, this.#signal));
      if (this.reusedTokens < 0) this.reusedTokens = decoder.reusedTokens;
    } catch (error) {
      this.failure = error;
    }
    return { logits: new ort.Tensor('float32', logits, [1, 1, vocabSize]) };
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
function makeSampler(transformers: Transformers, settings: GenerateSettings) {
  const { sampling } = settings;
  const generator = new transformers.random.Random(settings.seed ?? undefined) as { random(): number };
  class Sampler extends transformers.LogitsProcessor {
    override _call(_ids: bigint[][], logits: Tensor): Tensor {
      if (sampling === null) return logits;
      const scores = logits.data as Float32Array;
      const id = sampleToken(scores, sampling, () => generator.random());
      scores.fill(-Infinity);
      scores[id] = 0;
      return logits;
    }
  }
  return new Sampler();
}
