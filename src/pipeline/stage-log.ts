/**
 * The running account of a load: which stage is where, what it moved, what is worth knowing.
 *
 * In: calls from `load.ts`. Out: the event feed for the page, and the timings and notices of the report. Guarantees the
 * feed's invariants (see `contract/load.ts`): a stage starts and ends once (and once more after a restart), progress never
 * falls, its total is constant, and it ends at its total; events come at a bounded rate.
 */
import { raceAbort } from '../base/abort.ts';
import { isLoadError, STAGES, toErrorData } from '../contract/errors.ts';
import type { Stage } from '../contract/errors.ts';
import type { LoadEvent, PlanSummary, StageTiming } from '../contract/load.ts';

/** More often than this no page repaints, and each event is a message between threads. */
const PROGRESS_INTERVAL_MS = 50;

/** What can be waited for. */
export type Moment = `${Stage} begun` | `${Stage} ended`;

interface RunningStage {
  readonly startMs: number;
  doneBytes: number;
  networkBytes: number;
  totalBytes: number | null;
  reportedAtMs: number;
}

/** See the file's header. */
export class StageLog {
  timings: readonly StageTiming[] = [];
  readonly notices: string[] = [];
  readonly #emit: (event: LoadEvent) => void;
  readonly #originMs = performance.now();
  readonly #running = new Map<Stage, RunningStage>();
  /** The beginnings and ends of stages that have been, or that something waits for. */
  readonly #moments = new Map<Moment, { readonly promise: Promise<void>; readonly resolve: () => void }>();
  /** What was said before a restart: stages that run again find the same again. */
  #saidBefore: ReadonlySet<string> = new Set();

  constructor(emit: (event: LoadEvent) => void) {
    this.#emit = emit;
  }

  nowMs(): number {
    return performance.now() - this.#originMs;
  }

  /** Runs a whole stage. An error that no stage has claimed is claimed by this one. */
  async run<T>(stage: Stage, work: () => T | Promise<T>, note?: (result: T) => string): Promise<T> {
    this.start(stage);
    try {
      const result = await work();
      this.end(stage, note?.(result) ?? null);
      return result;
    } catch (error) {
      throw isLoadError(error) ? error.inStage(stage) : error;
    }
  }

  /** Begins a stage; one that two parts of the work share begins with the first of them. */
  start(stage: Stage): void {
    if (this.#running.has(stage)) return;
    this.#moment(`${stage} begun`).resolve();
    const atMs = this.nowMs();
    this.#running.set(stage, {
      startMs: atMs,
      doneBytes: 0,
      networkBytes: 0,
      totalBytes: null,
      reportedAtMs: -Infinity,
    });
    this.#emit({ type: 'stageStart', stage, atMs });
  }

  /** Resolves when a stage has begun, or has ended; at once, if it has. @throws LoadError `aborted` */
  async when(moment: Moment, signal: AbortSignal): Promise<void> {
    await raceAbort(this.#moment(moment).promise, signal);
  }

  progress(stage: Stage, doneBytes: number, totalBytes: number, networkBytes = 0): void {
    const state = this.#running.get(stage);
    if (!state) return;
    state.totalBytes ??= totalBytes;
    state.doneBytes = Math.max(state.doneBytes, Math.min(doneBytes, state.totalBytes));
    state.networkBytes = Math.max(state.networkBytes, networkBytes);
    const atMs = this.nowMs();
    // The total is reported at the stage's end, so that "all" always means "done".
    if (atMs - state.reportedAtMs < PROGRESS_INTERVAL_MS || state.doneBytes === state.totalBytes) return;
    this.#emitProgress(stage, state, atMs);
  }

  end(stage: Stage, note: string | null): void {
    const state = this.#running.get(stage);
    if (!state) return;
    this.#running.delete(stage);
    const atMs = this.nowMs();
    if (state.totalBytes !== null) this.#emitProgress(stage, { ...state, doneBytes: state.totalBytes }, atMs);
    this.timings = [...this.timings, { stage, startMs: state.startMs, endMs: atMs }];
    this.#emit({ type: 'stageEnd', stage, atMs, note });
    this.#moment(`${stage} ended`).resolve();
  }

  /** Begins this stage and those behind it anew. When nothing of them is running any more. */
  restart(from: Stage): void {
    const again = STAGES.slice(STAGES.indexOf(from));
    for (const stage of again) {
      this.#running.delete(stage);
      this.#moments.delete(`${stage} begun`);
      this.#moments.delete(`${stage} ended`);
    }
    this.timings = this.timings.filter(({ stage }) => !again.includes(stage));
    this.#saidBefore = new Set(this.notices);
    this.#emit({ type: 'restart', stage: from, atMs: this.nowMs() });
  }

  publishPlan(plan: PlanSummary): void {
    this.#emit({ type: 'plan', plan, atMs: this.nowMs() });
  }

  notice(stage: Stage, message: string): void {
    if (this.#saidBefore.has(message)) return;
    this.notices.push(message);
    this.#emit({ type: 'notice', stage, message, atMs: this.nowMs() });
  }

  /** The last event of a load that did not become ready. */
  fail(error: unknown): void {
    const data = toErrorData(error);
    const atMs = this.nowMs();
    this.#emit(data.code === 'aborted' ? { type: 'cancelled', atMs } : { type: 'failed', error: data, atMs });
  }

  #moment(name: Moment): { readonly promise: Promise<void>; readonly resolve: () => void } {
    let moment = this.#moments.get(name);
    if (!moment) {
      let resolve: () => void = () => undefined;
      const promise = new Promise<void>((come) => (resolve = come));
      moment = { promise, resolve };
      this.#moments.set(name, moment);
    }
    return moment;
  }

  #emitProgress(stage: Stage, state: RunningStage, atMs: number): void {
    state.reportedAtMs = atMs;
    const { doneBytes, networkBytes } = state;
    this.#emit({ type: 'progress', stage, atMs, doneBytes, totalBytes: state.totalBytes ?? 0, networkBytes });
  }
}
