/**
 * The decode step as a captured graph, and the choice of the next token, both on the GPU.
 *
 * In: the parts of a GPU decoder and its bindings. Out: a {@link TokenLoop}. A second session over the same weights and the
 * same KV cache, with graph capture: its first run records the GPU's commands, later ones replay them, which takes the CPU
 * a fraction of a run (every input and output has to be one buffer for that, and every shape the same: one token a run).
 *
 * ```
 *   prefill ─► logits ─► choose ─► input_ids, lengths ─► captured run ─► logits ─► choose ─► …
 *   (JavaScript:            └─ id, read back behind                          └─ id, read back behind)
 * ```
 *
 * Guarantees: it is used only after a step of it gave the logits that the uncaptured session gave; what was recorded is
 * recorded and proved again after the cache was replaced by a longer one.
 */
import type { Tensor } from 'onnxruntime-web';
import { cleanUpAfter } from '../../base/clean-up.ts';
import { compareValues } from '../../base/compare-values.ts';
import { LoadError } from '../../contract/errors.ts';
import { GRAPH_IO } from '../../contract/graph-io.ts';
import type { ChoiceRule, ChoiceStep, TokenLoop } from '../decoder.ts';
import type { BoundModel } from './bindings.ts';
import type { GpuDecoderParts } from './decoder-parts.ts';
import { checkGpu, toGpuError } from './errors.ts';
import { createTokenChooser } from './token-chooser.ts';
import type { StepBuffers, TokenChooser } from './token-chooser.ts';
import { readBuffer } from './read-buffer.ts';
import type { Ort } from '../ort/onnxruntime.ts';
import type { Session, SessionOptions } from '../ort/sessions.ts';

/** Runs the uncaptured session, its logits into the given tensor. */
export type RunInto = (
  ids: readonly number[],
  startPosition: number,
  logits: Tensor,
  signal?: AbortSignal,
) => Promise<void>;

/** Share of the logits' spread by which they may differ: kernels sum in different orders, wrong ones differ by all of it. */
const TOLERANCE = 0.03;

/** What steps are made with, whatever cache they work on. */
interface Bench {
  readonly chooser: TokenChooser;
  readonly step: StepBuffers;
  readonly logits: Tensor;
}

/** The step that was recorded: it replays on the buffers that were bound then. */
interface Captured {
  readonly session: Session;
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly fetches: Readonly<Record<string, Tensor>>;
}

/** See the file's header. */
export class GpuTokenLoop implements TokenLoop {
  readonly #parts: GpuDecoderParts;
  readonly #runInto: RunInto;
  readonly #buffers: GPUBuffer[] = [];
  #bound: BoundModel;
  #bench: Bench | null = null;
  #captured: Captured | null = null;
  #proved = false;

  constructor(parts: GpuDecoderParts, bound: BoundModel, runInto: RunInto) {
    this.#parts = parts;
    this.#bound = bound;
    this.#runInto = runInto;
  }

  get ready(): boolean {
    return this.#proved;
  }

  capture(signal?: AbortSignal): Promise<void> {
    return this.#capture(0, 0, signal);
  }

  async #capture(id: number, position: number, signal?: AbortSignal): Promise<void> {
    try {
      this.#bench ??= await this.#createBench();
      this.#captured = await this.#createSession(this.#bench, signal);
      this.#writeStep(this.#bench.step, id, position);
      await this.advance(signal); // a session captures with its first run
      checkGpu(this.#parts.gpu, 'capturing the decode step');
    } catch (error) {
      const first = await cleanUpAfter(error, () => this.release());
      throw await toGpuError(first, 'capturing the decode step', this.#parts.gpu);
    }
  }

  async prepare(id: number, position: number, expected: Float32Array, rewind: () => void): Promise<void> {
    rewind();
    if (this.#captured === null) {
      // With the step that is to be proved: any other would leave its keys where the cache holds something.
      await this.#capture(id, position);
      rewind();
    }
    try {
      await this.#prove(requirePrepared(this.#bench), id, position, expected);
      this.#proved = true;
    } catch (error) {
      const first = await cleanUpAfter(error, () => this.release());
      throw await toGpuError(first, 'replaying the decode step', this.#parts.gpu);
    }
  }

  /** The cache was replaced: what was recorded is forgotten, and has to be prepared again. */
  async rebind(bound: BoundModel): Promise<void> {
    this.#bound = bound;
    await this.#releaseCaptured();
  }

  async prefill(ids: readonly number[], startPosition: number, signal?: AbortSignal): Promise<void> {
    await this.#runInto(ids, startPosition, requirePrepared(this.#bench).logits, signal);
  }

  begin(seenIds: readonly number[], rule: ChoiceRule): void {
    requirePrepared(this.#bench).chooser.begin(seenIds, rule);
  }

  choose(step: ChoiceStep): Promise<number> {
    return requirePrepared(this.#bench).chooser.choose(step);
  }

  async advance(signal?: AbortSignal): Promise<void> {
    const { session, feeds, fetches } = requirePrepared(this.#captured);
    try {
      await session.run(feeds, fetches, signal);
    } catch (error) {
      throw await toGpuError(error, 'running the captured decode step', this.#parts.gpu);
    }
  }

  async release(): Promise<void> {
    const releasing = this.#releaseCaptured();
    this.#bench?.chooser.release();
    this.#bench = null;
    for (const buffer of this.#buffers.splice(0)) buffer.destroy();
    await releasing;
  }

  async #releaseCaptured(): Promise<void> {
    const captured = this.#captured;
    this.#captured = null;
    this.#proved = false;
    await captured?.session.release();
  }

  async #createBench(): Promise<Bench> {
    const { ort, gpu, plan } = this.#parts;
    const { vocabSize } = plan.sizes;
    const step = {
      logits: this.#makeBuffer('logits', vocabSize * 4),
      inputIds: this.#makeBuffer('input ids', 8),
      seqlensK: this.#makeBuffer('seqlens_k', 4),
      totalSequenceLength: this.#makeBuffer('total_sequence_length', 4),
    };
    const logits = ort.Tensor.fromGpuBuffer(step.logits, { dataType: 'float32', dims: [1, vocabSize] });
    return { step, logits, chooser: await createTokenChooser(gpu, vocabSize, step) };
  }

  async #createSession({ step, logits }: Bench, signal?: AbortSignal): Promise<Captured> {
    const { ort, gpu, graph } = this.#parts;
    const session = await gpu.sessions.create(
      ort,
      graph,
      withGraphCapture({
        executionProviders: [{ name: 'webgpu', device: gpu.device }],
        preferredOutputLocation: 'gpu-buffer',
      }),
      signal,
    );
    const bind: Ort['Tensor']['fromGpuBuffer'] = (buffer, options) => ort.Tensor.fromGpuBuffer(buffer, options);
    return {
      session,
      feeds: {
        ...this.#bound.feeds,
        [GRAPH_IO.inputIds]: bind(step.inputIds, { dataType: 'int64', dims: [1, 1] }),
        [GRAPH_IO.seqlensK]: bind(step.seqlensK, { dataType: 'int32', dims: [1] }),
        [GRAPH_IO.totalSequenceLength]: bind(step.totalSequenceLength, { dataType: 'int32', dims: [1] }),
      },
      fetches: { ...this.#bound.fetches, [GRAPH_IO.logits]: logits },
    };
  }

  /** Replays the captured step, on other values: it has to give the expected logits, and the kernels the best token. */
  async #prove({ chooser, step }: Bench, id: number, position: number, expected: Float32Array): Promise<void> {
    const { gpu } = this.#parts;
    gpu.device.queue.writeBuffer(step.logits, 0, new Float32Array(expected.length));
    this.#writeStep(step, id, position);
    await this.advance();
    const found = new Float32Array((await readBuffer(gpu, step.logits, expected.byteLength)).buffer);
    checkGpu(gpu, 'replaying the decode step');
    const { difference, spread, share } = compareValues(expected, found);
    // Written so that NaN fails.
    if (!(share <= TOLERANCE)) {
      throw new LoadError('output_mismatch', {
        message: `While replaying the decode step, a logit was off by ${difference}.`,
        detail: { difference, spread },
      });
    }
    chooser.begin([], { repetitionPenalty: 1, sampling: null, forbiddenIds: [] });
    const chosen = await chooser.choose({ position: position + 1, draw: 0, forbid: false });
    const best = expected.reduce((a, b) => Math.max(a, b));
    if ((expected[chosen] ?? -Infinity) >= best - 2 * TOLERANCE * spread) return;
    throw new LoadError('output_mismatch', { message: `The GPU chose token ${chosen}, which is not the best.` });
  }

  #writeStep(step: StepBuffers, id: number, position: number): void {
    const { queue } = this.#parts.gpu.device;
    queue.writeBuffer(step.inputIds, 0, Uint32Array.of(id, 0));
    queue.writeBuffer(step.seqlensK, 0, Uint32Array.of(position));
    queue.writeBuffer(step.totalSequenceLength, 0, Uint32Array.of(position + 1));
  }

  #makeBuffer(label: string, sizeBytes: number): GPUBuffer {
    const size = Math.ceil(sizeBytes / 16) * 16;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const buffer = this.#parts.gpu.ledger.createBuffer('staging', { label, size, usage });
    this.#buffers.push(buffer);
    return buffer;
  }
}

function requirePrepared<T>(part: T | null): T {
  if (part === null) throw new LoadError('internal', { message: 'the token loop was not prepared' });
  return part;
}

/**
 * Options that ask for graph capture on the C++ side of onnxruntime-web alone.
 *
 * Its JavaScript side, if it sees `enableGraphCapture`, keeps the bindings of the first run for all later ones, and in
 * 1.31.0-dev.20260914 then takes outputs in buffers of ours for its own: every run but the first ends with "Cannot set
 * properties of undefined (setting 'Symbol(gpuBufferMetadata)')", because `preAllocatedOutputs` (wasm-core-impl.ts) is filled
 * by a run that binds and by no other. Without it each run binds anew, which is what it does in uncaptured sessions. (Under
 * `extra` the option comes after the provider was made, and is not seen.) So it is there while the C++ options are made, and
 * gone when the JavaScript side looks: `externalData` is what it reads in between. Should that order change, either
 * nothing is captured, and all else works, or the loop fails its proof and is not used. Can go once upstream fills the list.
 */
function withGraphCapture(options: SessionOptions): SessionOptions {
  let asked = true;
  return {
    ...options,
    get enableGraphCapture() {
      return asked;
    },
    get externalData() {
      asked = false;
      return [];
    },
  };
}
