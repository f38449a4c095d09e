/**
 * Layers on the GPU against the same layers on WebAssembly, on the model's own weights, read back from the GPU: finds out a
 * driver that computes rubbish, and weights that did not arrive as they were sent.
 *
 * In: the filled buffers and two graphs of each layer. Out: {@link LayerComparison} of the worst of them. Guarantees: nothing of
 * it stays in the KV cache or on the GPU; of each layer no more than {@link MAX_LAYER_BYTES} are read back.
 */
import type { Tensor } from 'onnxruntime-web';
import { runThenCleanUp } from '../../base/clean-up.ts';
import { toShare } from '../../base/compare-values.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import { GRAPH_IO } from '../../contract/graph-io.ts';
import type { CacheSpec } from '../../contract/caches.ts';
import { makeEmptyCache } from '../ort/cache-tensor.ts';
import { bindModel } from './bindings.ts';
import type { GpuDecoderParts } from './decoder-parts.ts';
import { checkGpu, toGpuError } from './errors.ts';
import { createGpuSession } from './session.ts';
import { readBuffer } from './read-buffer.ts';
import { toRuntimeError } from '../ort/runtime-errors.ts';

/** How far apart the two are. */
export interface LayerComparison {
  /** Largest difference of a value that the layer adds to the residual stream. */
  readonly difference: number;
  /** Largest such value. */
  readonly spread: number;
}

/** A layer's weights are copied three times (staging, JavaScript, the runtime's heap): larger ones are not worth it. */
const MAX_LAYER_BYTES = 64 * 2 ** 20;

/** Enough for a prompt's kernels, few enough for a CPU to compute at once; fewer where the context is shorter. */
const MAX_TOKENS = 5;

/** The layer's graphs, hidden states in and out. */
export interface ComparedLayer {
  readonly layer: number;
  readonly device: Uint8Array<ArrayBuffer>;
  readonly wasm: Uint8Array<ArrayBuffer>;
}

/**
 * Compares one after the other, and yields the worst. Null where a layer is too large or WebAssembly has no room for it, or where
 * it computes in float16, which WebAssembly's kernels do not. The signal ends the wait for the runtime.
 * @throws LoadError `aborted`, `runtime_failed`, `device_lost`, `out_of_memory`
 */
export async function compareLayers(
  parts: Omit<GpuDecoderParts, 'graph'>,
  layers: readonly ComparedLayer[],
  signal: AbortSignal,
): Promise<LayerComparison | null> {
  let worst: LayerComparison | null = null;
  for (const layer of layers) {
    const found = await compareLayer(parts, layer, signal);
    if (found === null) return null;
    if (worst === null || isWorse(found, worst)) worst = found;
  }
  return worst;
}

/** What is not a number is worse than any. */
function isWorse(found: LayerComparison, known: LayerComparison): boolean {
  const share = toShare(found.difference, found.spread);
  return !(share <= toShare(known.difference, known.spread));
}

async function compareLayer(
  parts: Omit<GpuDecoderParts, 'graph'>,
  { layer, device, wasm }: ComparedLayer,
  signal: AbortSignal,
): Promise<LayerComparison | null> {
  const { plan } = parts;
  const weights = listLayerBuffers(plan, layer);
  const caches = plan.caches.filter((spec) => spec.layer === layer);
  const layerBytes = weights.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (plan.activationType === 'float16' || layerBytes > MAX_LAYER_BYTES) return null;
  // Values of about one, none like another: what an embedding might give.
  const tokens = Math.min(MAX_TOKENS, plan.contextTokens);
  const input = Float32Array.from({ length: tokens * plan.sizes.hiddenSize }, (_, index) =>
    Math.sin(index * 1.7 + 0.3),
  );
  try {
    const onDevice = await runOnDevice({ ...parts, graph: device }, caches, input, signal);
    checkGpu(parts.gpu, 'comparing a layer');
    const bytes = await readWeights(parts, weights);
    const onWasm = await runOnWasm(parts, wasm, bytes, caches, input, signal).catch(passNoRoom);
    if (onWasm === null) return null;
    let difference = 0;
    let spread = 0;
    for (const [index, start] of input.entries()) {
      const expected = (onWasm[index] ?? NaN) - start;
      const found = (onDevice[index] ?? NaN) - start;
      // Math.max passes NaN on, which then fails every comparison.
      difference = Math.max(difference, Math.abs(found - expected));
      spread = Math.max(spread, Math.abs(expected));
    }
    return { difference, spread };
  } catch (error) {
    throw await toGpuError(error, 'comparing a layer', parts.gpu);
  }
}

/** Without room for the layer in the runtime's heap nothing is known, and nothing is wrong with the GPU. */
function passNoRoom(error: unknown): null {
  const failure = toRuntimeError(error, 'running a layer on WebAssembly', null);
  if (failure.code === 'out_of_memory') return null;
  throw failure;
}

async function runOnDevice(
  parts: GpuDecoderParts,
  caches: readonly CacheSpec[],
  input: Float32Array<ArrayBuffer>,
  signal: AbortSignal,
): Promise<Float32Array> {
  const { ort, gpu, plan, graph, buffers } = parts;
  const session = await createGpuSession({ ort, gpu, caches: plan.caches, graph }, 'a layer', signal);
  const run = async (): Promise<Float32Array> => {
    const bound = bindModel(ort, plan, buffers, session);
    const outputs = await session.run(
      { ...bound.feeds, ...makeInputs(parts, input) },
      { ...bound.fetches, [GRAPH_IO.hiddenStatesOut]: null },
      signal,
    );
    return outputs[GRAPH_IO.hiddenStatesOut]?.data as Float32Array;
  };
  return runThenCleanUp(run, async () => {
    await session.release();
    clearCaches(parts, caches);
  });
}

interface LayerWeight {
  readonly path: string;
  readonly data: Uint8Array;
}

async function readWeights(
  { gpu, buffers }: Pick<GpuDecoderParts, 'gpu' | 'buffers'>,
  weights: readonly { readonly name: string; readonly sizeBytes: number }[],
): Promise<LayerWeight[]> {
  const layer: LayerWeight[] = [];
  for (const { name, sizeBytes } of weights) {
    const buffer = buffers.weights.get(name);
    if (!buffer) throw new Error(`no buffer ${name}`);
    layer.push({ path: name, data: await readBuffer(gpu, buffer, sizeBytes) });
  }
  return layer;
}

async function runOnWasm(
  parts: Pick<GpuDecoderParts, 'ort' | 'gpu' | 'plan'>,
  graph: Uint8Array<ArrayBuffer>,
  externalData: readonly LayerWeight[],
  caches: readonly CacheSpec[],
  input: Float32Array<ArrayBuffer>,
  signal: AbortSignal,
): Promise<Float32Array> {
  const { ort, gpu } = parts;
  const session = await gpu.sessions.create(ort, graph, { executionProviders: ['wasm'], externalData }, signal);
  const run = async (): Promise<Float32Array> => {
    const empty = caches.map((spec) => [spec.past, makeEmptyCache(ort, spec)] as const);
    const feeds = { ...Object.fromEntries(empty), ...makeInputs(parts, input) };
    const outputs = await session.run(feeds, undefined, signal);
    return outputs[GRAPH_IO.hiddenStatesOut]?.data as Float32Array;
  };
  return runThenCleanUp(run, () => session.release());
}

function makeInputs(
  { ort, plan }: Pick<GpuDecoderParts, 'ort' | 'plan'>,
  input: Float32Array<ArrayBuffer>,
): Record<string, Tensor> {
  const { hiddenSize } = plan.sizes;
  const tokens = input.length / hiddenSize;
  return {
    [GRAPH_IO.hiddenStates]: new ort.Tensor('float32', input, [tokens, hiddenSize]),
    [GRAPH_IO.seqlensK]: new ort.Tensor('int32', Int32Array.of(tokens - 1), [1]),
    [GRAPH_IO.totalSequenceLength]: new ort.Tensor('int32', Int32Array.of(tokens), [1]),
  };
}

/** Of one layer: its own weights, and the rotary tables. */
function listLayerBuffers(
  { weights }: LoadPlan,
  layer: number,
): readonly { readonly name: string; readonly sizeBytes: number }[] {
  return weights
    .filter((weight) => weight.layer === layer || weight.computed !== null)
    .flatMap(({ buffers }) => buffers);
}

function clearCaches({ gpu, buffers }: Pick<GpuDecoderParts, 'gpu' | 'buffers'>, caches: readonly CacheSpec[]): void {
  const encoder = gpu.device.createCommandEncoder();
  for (const { past } of caches) {
    const cache = buffers.kv.live.get(past);
    if (cache) encoder.clearBuffer(cache.buffer);
  }
  gpu.device.queue.submit([encoder.finish()]);
}
