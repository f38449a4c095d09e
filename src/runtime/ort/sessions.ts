/**
 * The only way to onnxruntime's sessions: makes, runs and releases them, through one queue for the whole worker.
 *
 * In: a graph and options. Out: {@link Session}. Guarantees: the runtime is never inside two calls at once, whatever the models
 * of a worker do; the queue is fair (`call-queue.ts`). Why:
 * - the `/webgpu` build (Asyncify) can suspend one call at a time; a second one ends in an abort of the whole runtime;
 * - in the `/jspi` build two suspended calls share one stack in the heap, which holds only where the later one ends first;
 * - its JavaScript keeps a session's device and external data in globals while it is made, and the end of one creation takes the
 *   data from under another (`unmountExternalData`, wasm-core-impl.ts, 1.31.0-dev.20260914).
 */
import type { InferenceSession } from 'onnxruntime-web';
import { deviceLost } from './runtime-errors.ts';
import { CallQueue } from './call-queue.ts';
import type { CallLine } from './call-queue.ts';
import type { Ort } from './onnxruntime.ts';

/** What the runtime may be told of a session. */
export type SessionOptions = InferenceSession.SessionOptions;

/** Inputs by name. */
export type Feeds = InferenceSession.FeedsType;

/** Outputs by name: a tensor to be written into, or null for one that the runtime makes. */
export type Fetches = InferenceSession.NullableOnnxValueMapType;

/** Outputs by name. */
export type Outputs = InferenceSession.ReturnType;

/** A session of the runtime. Its calls may overlap with any others: they wait for each other. */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * All outputs, or those of `fetches`. The signal ends the wait for the runtime, not a run that has begun.
   * @throws LoadError `aborted`, `device_lost`; what the runtime throws
   */
  run(feeds: Feeds, fetches?: Fetches, signal?: AbortSignal): Promise<Outputs>;
  /** After what it was asked for before. Calling it again does nothing. @throws what the runtime throws */
  release(): Promise<void>;
}

/** Of this worker. */
const queue = new CallQueue();

/** Makes the sessions of one model; what one model asks for waits in one line. */
export class SessionMaker {
  readonly #line: CallLine = queue.openLine();

  /** `lost` resolves with the reason once the model's device is gone: its calls that wait then fail with `device_lost`. */
  constructor(lost?: Promise<string>) {
    void lost?.then((reason) => queue.endLine(this.#line, deviceLost(reason)));
  }

  /**
   * The options reach the runtime as they are, the same object. The signal ends the wait for the runtime, not a creation that
   * has begun.
   * @throws LoadError `aborted`, `device_lost`; what the runtime throws
   */
  async create(
    ort: Pick<Ort, 'InferenceSession'>,
    graph: Uint8Array,
    options: SessionOptions,
    signal?: AbortSignal,
  ): Promise<Session> {
    const line = this.#line;
    const session = await queue.call(line, 'build', () => ort.InferenceSession.create(graph, options), signal);
    let released: Promise<void> | null = null;
    return {
      inputNames: session.inputNames,
      outputNames: session.outputNames,
      run: (feeds, fetches, runSignal) =>
        queue.call(line, 'step', () => (fetches ? session.run(feeds, fetches) : session.run(feeds)), runSignal),
      release: () => (released ??= queue.call(line, 'release', () => session.release())),
    };
  }
}

/**
 * The runtime as transformers.js is given it. It makes sessions by itself for some tensor operations (top-k, interpolation) and
 * would run them beside ours: here it gets {@link Session}s instead.
 */
export function withQueuedSessions(ort: Ort): object {
  const maker = new SessionMaker();
  const create = (graph: Uint8Array, options: SessionOptions): Promise<Session> => maker.create(ort, graph, options);
  return { ...ort, InferenceSession: { create } };
}
