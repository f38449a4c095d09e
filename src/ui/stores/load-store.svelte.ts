/**
 * The load that the page shows: asks the loader, feeds its events to the reducer, holds the model.
 *
 * In: requests from the form. Out: runes that components read.
 * Guarantees: one load at a time; the model before it is disposed first; every call ends in ready, failed or
 * cancelled, whether or not the feed said so. Events are applied at most 30 times a second, so that a fast download
 * does not keep the page busy painting.
 */
import { LoadError, toErrorData } from '../../contract/errors.ts';
import type { LoadEvent, PlanSummary } from '../../contract/load.ts';
import type { Device, Dtype } from '../../contract/plan.ts';
import type { Model, PlanOptions } from '../../client/loader.ts';
import type { ModelSource } from '../../client/model-source.ts';
import { createLoadState, endPlanning, loadFraction, pauseLoad, reduceLoad, type LoadState } from './load-reducer.ts';
import type { HubFields, LoaderHost } from './loader-host.ts';

/** What the form asks for. */
export interface LoadFields {
  readonly source: ModelSource;
  /** Of a model that is named by its id; the others have none. */
  readonly revision: string;
  readonly dtype: Dtype | 'auto';
  readonly device: Device | 'auto';
  readonly hub: HubFields;
}

/** What somebody else than its typist puts into the form. An endpoint of null: whatever the form has. */
export type FormDraft =
  | { readonly kind: 'id'; readonly modelId: string; readonly revision: string; readonly endpoint: string | null }
  | { readonly kind: 'url'; readonly baseUrl: string };

const APPLY_EVERY_MS = 33;
const TICK_EVERY_MS = 200;

/** The page's load and its model. */
export class LoadStore {
  state = $state.raw<LoadState>(createLoadState());
  model = $state.raw<Model | null>(null);
  /** What the last call asked for: Retry asks for it again. */
  request = $state.raw<LoadFields | null>(null);
  /** Yielded by {@link preview}: the cost of a load that was not begun. */
  previewed = $state.raw<PlanSummary | null>(null);
  /** Waits for the form, which takes it over and sets it to null. */
  draft = $state.raw<FormDraft | null>(null);
  /** What is under way: a load, or something beside it. */
  activity = $state<'none' | 'loading' | 'planning' | 'unloading' | 'cancelling' | 'pausing'>('none');
  /** Ms since the load began, ticking. */
  nowMs = $state(0);

  readonly busy = $derived(this.activity !== 'none');
  readonly cancellable = $derived(this.activity === 'loading' || this.activity === 'planning');
  /** Only a download can be paused: everything else starts over anyway. */
  readonly pausable = $derived(
    this.activity === 'loading' && this.state.rows.some(({ stage, state }) => stage === 'fetch' && state === 'running'),
  );
  readonly paused = $derived(!this.busy && this.state.phase === 'paused');
  readonly plan = $derived(this.state.plan ?? this.previewed);
  readonly fraction = $derived(loadFraction(this.state));

  readonly #host: LoaderHost;
  #controller: AbortController | null = null;
  #pending: LoadEvent[] = [];
  #applyTimer: ReturnType<typeof setTimeout> | null = null;

  constructor(host: LoaderHost) {
    this.#host = host;
  }

  /** Loads a model, after giving back the one before it. Does nothing while busy. */
  async load(request: LoadFields): Promise<void> {
    if (this.busy) return;
    const controller = this.#begin(request, createLoadState('loading'));
    this.activity = 'loading';
    const startedAt = performance.now();
    const stopClock = this.#startClock(startedAt);
    try {
      const loader = await this.#release(request.hub);
      const options = { ...toOptions(request), signal: controller.signal };
      const model = await loader.load(request.source, { ...options, onProgress: (event) => this.#receive(event) });
      this.model = model;
      this.#end({ type: 'ready', atMs: performance.now() - startedAt });
    } catch (error) {
      this.#endWithError(error, performance.now() - startedAt);
      if (this.#isPausing()) this.state = pauseLoad(this.state);
    } finally {
      stopClock();
      this.#controller = null;
      this.activity = 'none';
    }
  }

  /** Plans a load without beginning it: what it would cost, from a few kilobytes. */
  async preview(request: LoadFields): Promise<void> {
    if (this.busy) return;
    const controller = this.#begin(request, createLoadState('planning'));
    this.activity = 'planning';
    const startedAt = performance.now();
    const stopClock = this.#startClock(startedAt);
    try {
      const loader = await this.#release(request.hub);
      const options = { ...toOptions(request), signal: controller.signal };
      const onProgress = (event: LoadEvent): void => this.#receive(event);
      this.previewed = await loader.plan(request.source, { ...options, onProgress });
      this.#apply();
      this.state = endPlanning(this.state, performance.now() - startedAt);
    } catch (error) {
      this.#endWithError(error, performance.now() - startedAt);
    } finally {
      stopClock();
      this.#controller = null;
      this.activity = 'none';
    }
  }

  /** Stops what is under way; it ends as soon as the loader let go of everything. */
  cancel(): void {
    this.#stop('cancelling');
  }

  /** Stops a download so that {@link retry} goes on where it stopped: what came is on disk. */
  pause(): void {
    if (this.pausable) this.#stop('pausing');
  }

  /** Asks again for what was asked last, whatever the form says by now. */
  async retry(): Promise<void> {
    if (this.request !== null) await this.load(this.request);
  }

  /** Gives the model's memory back. */
  async unload(): Promise<void> {
    if (this.busy || this.model === null) return;
    this.activity = 'unloading';
    try {
      await this.#disposeModel();
      this.state = createLoadState();
    } catch (error) {
      this.state = createLoadState('loading');
      this.#endWithError(error, 0);
    } finally {
      this.activity = 'none';
    }
  }

  #stop(activity: 'cancelling' | 'pausing'): void {
    if (this.#controller === null) return;
    this.activity = activity;
    this.#controller.abort(new LoadError('aborted', { retryable: true }));
  }

  /** A method, because the activity changes while a load is awaited. */
  #isPausing(): boolean {
    return this.activity === 'pausing';
  }

  #begin(request: LoadFields, state: LoadState): AbortController {
    this.#controller = new AbortController();
    this.#pending = [];
    this.request = request;
    this.previewed = null;
    this.nowMs = 0;
    this.state = state;
    return this.#controller;
  }

  async #release(hub: HubFields) {
    await this.#disposeModel();
    return this.#host.useHub(hub);
  }

  async #disposeModel(): Promise<void> {
    const model = this.model;
    this.model = null;
    await model?.dispose();
  }

  #receive(event: LoadEvent): void {
    this.#pending.push(event);
    this.#applyTimer ??= setTimeout(() => this.#apply(), APPLY_EVERY_MS);
  }

  #apply(): void {
    if (this.#applyTimer !== null) clearTimeout(this.#applyTimer);
    this.#applyTimer = null;
    const events = this.#pending;
    this.#pending = [];
    this.state = events.reduce(reduceLoad, this.state);
  }

  /** The end of the call is the truth; the feed's own last event, if it came, said it already. */
  #end(event: LoadEvent): void {
    this.#apply();
    this.state = reduceLoad(this.state, event);
  }

  #endWithError(error: unknown, atMs: number): void {
    const data = toErrorData(error);
    this.#end(data.code === 'aborted' ? { type: 'cancelled', atMs } : { type: 'failed', error: data, atMs });
  }

  #startClock(startedAt: number): () => void {
    const timer = setInterval(() => (this.nowMs = performance.now() - startedAt), TICK_EVERY_MS);
    return () => clearInterval(timer);
  }
}

function toOptions({ source, revision, dtype, device }: LoadFields): PlanOptions {
  return { dtype, device, ...(typeof source === 'string' ? { revision } : {}) };
}
