/**
 * Decoding three ways on one page: our token loop, transformers.js over our decoder, and transformers.js over a plain session.
 * One model is loaded for all three; whoever measures asks for one turn after another.
 */
import type { PreTrainedModel } from '@huggingface/transformers';
import { findBlueprint } from '../../../src/blueprints/registry.ts';
import { computeRotary } from '../../../src/blueprints/rotary/rotary.ts';
import type { LoadPlan } from '../../../src/contract/plan.ts';
import { createBufferMaker } from '../../../src/pipeline/fill/encode-whole.ts';
import { CachedDecoder } from '../../../src/pipeline/sequences/cached-decoder.ts';
import { generateOnDevice } from '../../../src/pipeline/serve/device-generation.ts';
import type { GenerateSettings } from '../../../src/pipeline/serve/generate-settings.ts';
import { GenerationOutput } from '../../../src/pipeline/serve/generation-output.ts';
import { RESIZING } from '../../../src/pipeline/place/place-on-gpu.ts';
import { makeRandom } from '../../../src/pipeline/serve/random.ts';
import { TextStream } from '../../../src/pipeline/serve/text-stream.ts';
import { generateWithTransformers } from '../../../src/pipeline/serve/transformers-generation.ts';
import { reserveGpuBuffers } from '../../../src/runtime/gpu/buffers.ts';
import { createGpuDecoder } from '../../../src/runtime/gpu/gpu-decoder.ts';
import { createGpuSession } from '../../../src/runtime/gpu/session.ts';
import { openGpu } from '../../../src/runtime/gpu/device.ts';
import { loadOnnxRuntime } from '../../../src/runtime/ort/onnxruntime.ts';
import { loadTransformers } from '../../../src/runtime/ort/transformers.ts';
import { planInFull } from '../support/full-plan.ts';
import { serveCalls } from '../support/page-link.ts';
import { createPeerSession } from './peer.ts';

/** Nothing is decoded here. */
const NO_TEXT = { decoder: { push: () => '', end: () => '' }, promptRest: '' };

/** What to measure. */
export interface DecodeRequest {
  readonly endpoint: string;
  readonly modelId: string;
  readonly dtype: 'fp32' | 'q8' | 'q4';
  readonly tokens: number;
  readonly sampling: GenerateSettings['sampling'];
}

/** One generation by one contender. */
export interface DecodeRound {
  readonly contender: 'tokenLoop' | 'transformersOverOurs' | 'plainSession';
  readonly ids: number[];
  readonly firstTokenMs: number;
  /** Tokens after the first, a second. */
  readonly tokensPerSecond: number;
  /**
   * JavaScript and WASM, ms a token. For the token loop: submitting a run and a choice, the median of all steps (where the
   * GPU computes on the CPU, some are interrupted by it). For the others: everything but the session's `run`, which waits
   * for the GPU.
   */
  readonly scriptMs: number;
  /** For the others: what a `run` takes, the wait for the GPU included. */
  readonly runMs: number | null;
}

/** A prompt at once, of nothing in the cache. */
export interface PrefillRound {
  readonly oursMs: number;
  readonly plainMs: number;
}

/** A model that all contenders share. */
interface Arena {
  readonly contextTokens: number;
  decode(contender: DecodeRound['contender'], round: number): Promise<DecodeRound>;
  prefill(tokenCount: number, round: number): Promise<PrefillRound>;
  close(): Promise<void>;
}

let arena: Arena | null = null;

void serveCalls({
  /** Yields how many tokens fit. */
  async open(request: DecodeRequest): Promise<number> {
    arena = await openArena(request);
    return arena.contextTokens;
  },
  decode: (contender: DecodeRound['contender'], round: number) => arena?.decode(contender, round),
  prefill: (tokenCount: number, round: number) => arena?.prefill(tokenCount, round),
  close: () => arena?.close(),
});

async function openArena(request: DecodeRequest): Promise<Arena> {
  const { endpoint, modelId, dtype, tokens, sampling } = request;
  const plan = await planInFull(endpoint, modelId, dtype);
  const ort = await loadOnnxRuntime();
  const transformers = await loadTransformers();
  const config = (await (await fetch(fileUrl(request, 'config.json'))).json()) as Record<string, unknown>;
  const graph = findBlueprint({ model_type: plan.spec.modelType }).buildGraph({
    spec: plan.spec,
    weights: plan.weights,
    caches: plan.caches,
    activationType: plan.activationType,
    binding: 'inputs',
    layers: [...plan.spec.layers.keys()],
    hasEmbedding: true,
    hasHead: true,
  });
  const weights = await makeWeights(request, plan);

  const gpu = await openGpu();
  const buffers = await reserveGpuBuffers(plan, gpu);
  for (const [name, bytes] of weights) await buffers.write(name, 0, bytes);
  await buffers.flush();
  const session = await createGpuSession({ ort, gpu, caches: plan.caches, graph }, 'the model');
  const inner = createGpuDecoder({ ort, gpu, plan, graph, session, buffers, resizing: RESIZING });
  const decoder = new CachedDecoder(inner);
  const never = new AbortController().signal;
  const notice = await decoder.prepareTokenLoop(await decoder.logitsFor([1, 2, 3], never));
  if (notice !== null) throw new Error(notice);
  const peer = await createPeerSession(ort, plan, graph, weights);
  weights.clear();

  const clock = { submitMs: [] as number[], runMs: 0 };
  const loop = decoder.tokenLoop;
  if (loop === null) throw new Error('there is no token loop');
  let advanceMs = 0;
  loop.advance = timed(loop.advance.bind(loop), (ms) => (advanceMs = ms));
  const choose = loop.choose.bind(loop);
  loop.choose = (step) => {
    const startMs = performance.now();
    const id = choose(step);
    clock.submitMs.push(advanceMs + performance.now() - startMs);
    return id;
  };
  inner.run = timed(inner.run.bind(inner), (ms) => (clock.runMs += ms));
  peer.run = timed(peer.run.bind(peer), (ms) => (clock.runMs += ms));

  const parts = {
    transformers,
    decoder,
    config,
    vocabSize: plan.sizes.vocabSize,
    openText: () => NO_TEXT,
  };
  const settings: GenerateSettings = {
    maxNewTokens: tokens,
    limitedByContext: false,
    minNewTokens: 0,
    repetitionPenalty: 1,
    noRepeatNgramSize: 0,
    suppressedIds: [],
    beginSuppressedIds: [],
    badWordsIds: [],
    forcedBosId: null,
    forcedEosId: null,
    sampling,
    seed: 1,
    stops: [],
    eosIds: new Set(),
  };
  const makeDraw = (): (() => number) => makeRandom(transformers, settings.seed);
  const runs: Record<DecodeRound['contender'], (prompt: number[], onToken: (id: number) => void) => Promise<unknown>> =
    {
      tokenLoop: (prompt, onToken) =>
        generateOnDevice(parts, prompt, settings, makeDraw(), outputTo(settings, onToken), never),
      transformersOverOurs: (prompt, onToken) =>
        generateWithTransformers(parts, prompt, settings, makeDraw(), outputTo(settings, onToken), never),
      plainSession: async (prompt, onToken) => {
        class Streamer extends transformers.BaseStreamer {
          #sawPrompt = false;
          override put(batch: bigint[][]): void {
            if (this.#sawPrompt) onToken(Number(batch[0]?.[0]));
            this.#sawPrompt = true;
          }
          override end(): void {}
        }
        const model = new transformers.LlamaForCausalLM(new transformers.PretrainedConfig(config), { model: peer }, {});
        await model.generate({
          inputs: new transformers.Tensor('int64', BigInt64Array.from(prompt, BigInt), [1, prompt.length]),
          max_new_tokens: tokens,
          eos_token_id: null,
          do_sample: sampling !== null,
          ...(sampling === null ? {} : { temperature: sampling.temperature, top_k: sampling.topK }),
          streamer: new Streamer(),
        } as unknown as Parameters<PreTrainedModel['generate']>[0]);
      },
    };

  return {
    contextTokens: plan.contextTokens,
    async decode(contender, round) {
      const prompt = [1, 5 + round, 17, 40, 33];
      decoder.reset();
      clock.submitMs.length = clock.runMs = 0;
      const ids: number[] = [];
      const startMs = performance.now();
      let firstTokenMs = 0;
      await runs[contender](prompt, (id) => {
        ids.push(id);
        firstTokenMs ||= performance.now() - startMs;
      });
      const totalMs = performance.now() - startMs;
      const waits = contender !== 'tokenLoop';
      return {
        contender,
        ids,
        firstTokenMs,
        tokensPerSecond: ((ids.length - 1) / (totalMs - firstTokenMs)) * 1000,
        scriptMs: waits ? (totalMs - clock.runMs) / ids.length : median(clock.submitMs),
        runMs: waits ? clock.runMs / ids.length : null,
      };
    },
    async prefill(tokenCount, round) {
      const prompt = Array.from({ length: tokenCount }, (_, index) => (index * 31 + round + 1) % plan.sizes.vocabSize);
      decoder.reset();
      const oursMs = await timeOf(() => decoder.logitsFor(prompt, never));
      return { oursMs, plainMs: await timeOf(() => peer.prefill(prompt)) };
    },
    async close() {
      await peer.release();
      await decoder.release();
    },
  };
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

function outputTo(settings: GenerateSettings, onToken: (id: number) => void) {
  const text = new TextStream(NO_TEXT, []);
  return new GenerationOutput(text, settings, ({ id }) => onToken(id));
}

/** An async function that tells how long each call takes. */
function timed<A extends unknown[], T>(
  call: (...args: A) => Promise<T>,
  onCall: (elapsedMs: number) => void,
): (...args: A) => Promise<T> {
  return async (...args) => {
    const startMs = performance.now();
    try {
      return await call(...args);
    } finally {
      onCall(performance.now() - startMs);
    }
  };
}

/** All weight buffers of the plan, converted. */
async function makeWeights(request: DecodeRequest, plan: LoadPlan): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const files = new Map<string, Uint8Array>();
  for (const { path } of plan.weightFiles) {
    files.set(path, new Uint8Array(await (await fetch(fileUrl(request, path))).arrayBuffer()));
  }
  const make = createBufferMaker(
    plan,
    (path, start, end) => files.get(path)?.subarray(start, end) ?? new Uint8Array(),
    computeRotary,
  );
  return new Map(plan.weights.flatMap(({ buffers }) => buffers.map(({ name }) => [name, make(name)] as const)));
}

function fileUrl({ endpoint, modelId }: DecodeRequest, path: string): string {
  return `${endpoint}/${modelId}/resolve/main/${path}`;
}
