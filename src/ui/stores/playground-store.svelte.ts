/**
 * The playground: prompts go to the model, text comes back as it is written.
 *
 * In: a model (or none) and the form's fields. Out: runes that components read.
 * Guarantees: one generation at a time; another model ends it and begins a new conversation; what was written before
 * a stop stays. Text is shown at most 20 times a second.
 */
import { toErrorData, type LoadErrorData } from '../../contract/errors.ts';
import type { GenerateReport, Prompt } from '../../contract/generate.ts';
import type { ModelState } from '../../contract/model-state.ts';
import type { Model } from '../../client/loader.ts';
import { DEFAULT_SAMPLING, readSampling, type SamplingFields } from '../sampling.ts';
import { changeLastTurn, openTurn, toMessages, type Turn } from './conversation.ts';

const SHOW_EVERY_MS = 50;

/** How a prompt is given to the model. */
export type PlaygroundMode = 'chat' | 'text';

/** The page's playground. */
export class PlaygroundStore {
  turns = $state.raw<readonly Turn[]>([]);
  mode = $state<PlaygroundMode>('text');
  draft = $state('');
  sampling = $state<SamplingFields>({ ...DEFAULT_SAMPLING });
  error = $state.raw<LoadErrorData | null>(null);
  /** A field that cannot be sent. */
  problem = $state<string | null>(null);
  writing = $state(false);
  /** What a screen reader is told, once per answer. */
  announcement = $state('');

  /** Whether the model takes prompts at once; null without one. */
  modelState = $state.raw<ModelState | null>(null);

  #model: Model | null = null;
  #stopListening: () => void = () => {};
  #controller: AbortController | null = null;

  /** Takes another model, or none. */
  attach(model: Model | null): void {
    if (model === this.#model) return;
    this.stop();
    this.#stopListening();
    this.#model = model;
    this.modelState = model?.state ?? null;
    this.#stopListening = model?.onStateChange((state) => (this.modelState = state)) ?? (() => {});
    this.turns = [];
    this.error = null;
    this.announcement = '';
    this.#setMode(model?.info.hasChatTemplate === true ? 'chat' : 'text');
  }

  /** Changes between conversation and continuation; begins anew. */
  setMode(mode: PlaygroundMode): void {
    if (mode === this.mode || this.writing) return;
    this.#setMode(mode);
    this.clear();
  }

  /** Forgets the conversation. */
  clear(): void {
    if (this.writing) return;
    this.turns = [];
    this.error = null;
    this.problem = null;
    this.announcement = '';
  }

  /** Stops the answer that is being written. */
  stop(): void {
    this.#controller?.abort();
  }

  /** Sends the draft. Does nothing while writing, or without a model or a draft. */
  async generate(): Promise<void> {
    const model = this.#model;
    const sampling = readSampling(this.sampling);
    this.problem = sampling.ok ? null : sampling.problem;
    if (model === null || this.writing || this.draft.trim() === '' || !sampling.ok) return;
    const controller = new AbortController();
    this.#controller = controller;
    this.error = null;
    this.announcement = '';
    this.writing = true;
    this.turns = openTurn(this.mode === 'chat' ? this.turns : [], this.draft);
    const prompt: Prompt = this.mode === 'chat' ? toMessages(this.turns) : this.draft;
    if (this.mode === 'chat') this.draft = '';
    const sink = new TextSink((answer, tokens) => {
      if (this.#model === model) this.turns = changeLastTurn(this.turns, { answer, tokens });
    });
    try {
      const report = await write(model, prompt, { ...sampling.options, signal: controller.signal }, sink);
      this.#finish(model, sink, controller.signal.aborted ? 'stopped' : 'done', report);
    } catch (error) {
      const data = toErrorData(error);
      if (data.code !== 'aborted' && this.#model === model) this.error = data;
      this.#finish(model, sink, data.code === 'aborted' ? 'stopped' : 'failed', null);
    } finally {
      if (this.#controller === controller) this.#controller = null;
      this.writing = false;
    }
  }

  #setMode(mode: PlaygroundMode): void {
    if (mode === this.mode && this.draft !== '') return;
    this.mode = mode;
    this.draft = mode === 'chat' ? 'Tell me a story about a fox.' : 'Once upon a time, ';
  }

  #finish(model: Model, sink: TextSink, state: Turn['state'], report: GenerateReport | null): void {
    sink.flush();
    if (this.#model !== model) return;
    this.turns = changeLastTurn(this.turns, { state, report });
    const ending = { done: 'Answer finished', stopped: 'Answer stopped', failed: 'Answer failed', writing: '' }[state];
    this.announcement = `${ending}, ${sink.tokens} tokens. ${sink.text}`;
  }
}

async function write(
  model: Model,
  prompt: Prompt,
  options: NonNullable<Parameters<Model['generate']>[1]>,
  sink: TextSink,
): Promise<GenerateReport | null> {
  let report: GenerateReport | null = null;
  const onReport = (value: GenerateReport): void => {
    report = value;
  };
  for await (const token of model.generate(prompt, { ...options, onReport })) sink.add(token.text);
  return report;
}

/** Collects text and shows it now and then: a fast model writes more often than anybody can read. */
class TextSink {
  text = '';
  tokens = 0;
  readonly #show: (text: string, tokens: number) => void;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(show: (text: string, tokens: number) => void) {
    this.#show = show;
  }

  add(text: string): void {
    this.text += text;
    this.tokens += 1;
    this.#timer ??= setTimeout(() => this.flush(), SHOW_EVERY_MS);
  }

  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#show(this.text, this.tokens);
  }
}
