/**
 * A device that is seen from outside, with what some models keep beside keys and values: a state that takes tokens up in their
 * order and cannot be cut back. Work is queued and done some time after it was submitted. Whatever runs at a position where the
 * state is not, or on keys that are not there, is written down in `faults`.
 */
import type {
  ChoiceRule,
  ChoiceStep,
  Decoder,
  GrowthRequest,
  GrowthResult,
  KvParking,
  StateSnapshots,
  TokenLoop,
} from '../../../src/runtime/decoder.ts';

export const VOCAB = 7;

interface State {
  readonly sum: number;
  /** Tokens that it has taken up. */
  readonly length: number;
}

const NOTHING: State = { sum: 1, length: 0 };
const RUBBISH: State = { sum: NaN, length: NaN };

function takeUp(state: State, ids: readonly number[]): State {
  return ids.reduce(({ sum, length }, id) => ({ sum: (sum * 31 + id + 7) % 1_000_003, length: length + 1 }), state);
}

/** Of the last of `ids`, computed from nothing but them: the state, and the keys in their order. */
export function computeLogits(ids: readonly number[]): readonly number[] {
  return [takeUp(NOTHING, ids).sum, ...ids];
}

/** What such a model says next. */
export function nextIdAfter(ids: readonly number[]): number {
  return takeUp(NOTHING, ids).sum % VOCAB;
}

export interface StatefulDeviceOptions {
  readonly contextTokens: number;
  /** What there is memory for. */
  readonly mostTokens: number;
  readonly parkingSlots: number;
  readonly snapshotSlots: number;
  readonly hasLoop: boolean;
}

/** See the file's header. */
export class StatefulDevice implements Decoder {
  readonly faults: string[] = [];
  readonly tokenLoop?: TokenLoop;
  readonly parking: KvParking;
  readonly snapshots: StateSnapshots;
  contextTokens: number;
  /** The run with this index, counted from now, fails and leaves rubbish. */
  failsIn = Infinity;
  /** Is called before each run. */
  onRun: () => void = () => undefined;
  /** Tokens that were run in all. */
  ranTokens = 0;
  readonly #mostTokens: number;
  #keys: readonly number[] = [];
  #state = NOTHING;
  #chosen = { id: -1, position: -1 };
  #ready = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor({ contextTokens, mostTokens, parkingSlots, snapshotSlots, hasLoop }: StatefulDeviceOptions) {
    this.contextTokens = contextTokens;
    this.#mostTokens = mostTokens;
    this.parking = this.#makeParking(parkingSlots);
    this.snapshots = this.#makeSnapshots(snapshotSlots);
    if (hasLoop) this.tokenLoop = this.#makeLoop();
  }

  async run(ids: readonly number[], start: number): Promise<Float32Array> {
    await this.#runSoon(ids, start);
    await this.#queue;
    return Float32Array.from([this.#state.sum, ...this.#keys]);
  }

  async grow({ steps, liveTokens }: GrowthRequest): Promise<GrowthResult> {
    const step = steps.find((tokens) => tokens <= this.#mostTokens);
    if (step === undefined) return { grown: false, forgotten: [] };
    await this.#submit(() => (this.#keys = this.#keys.slice(0, liveTokens)));
    this.contextTokens = step;
    this.#ready = false;
    return { grown: true, forgotten: [] };
  }

  release(): Promise<void> {
    return Promise.resolve();
  }

  #runSoon(ids: readonly number[], start: number): Promise<void> {
    this.onRun();
    if (this.failsIn-- <= 0) {
      this.failsIn = Infinity;
      void this.#submit(() => (this.#state = RUBBISH));
      return Promise.reject(new Error('failed'));
    }
    void this.#submit(() => this.#write(ids, start));
    return Promise.resolve();
  }

  #write(ids: readonly number[], start: number): void {
    if (start === 0) this.#state = NOTHING;
    if (this.#state.length !== start) this.faults.push(`ran at ${start}, and the state is at ${this.#state.length}`);
    if (this.#keys.length < start) this.faults.push(`ran at ${start}, and there are ${this.#keys.length} keys`);
    if (start + ids.length > this.contextTokens) this.faults.push('ran beyond the cache');
    this.ranTokens += ids.length;
    this.#keys = [...this.#keys.slice(0, start), ...ids];
    this.#state = takeUp(this.#state, ids);
  }

  #makeParking(slotCount: number): KvParking {
    const slots = new Map<number, { keys: readonly number[]; state: State }>();
    const copyLive = (slot: number, tokens: number): void => {
      if (tokens > 0) slots.set(slot, { keys: this.#keys.slice(0, tokens), state: this.#state });
    };
    return {
      slotCount,
      roomOf: () => this.contextTokens,
      park: (slot, tokens) => void this.#submit(() => copyLive(slot, tokens)),
      swap: (slot, liveTokens, parkedTokens) =>
        void this.#submit(() => {
          const parked = slots.get(slot);
          copyLive(slot, liveTokens);
          if (!parked || parked.keys.length < parkedTokens) this.faults.push(`slot ${slot} holds too little`);
          this.#keys = parked?.keys.slice(0, parkedTokens) ?? [];
          this.#state = parked?.state ?? RUBBISH;
        }),
    };
  }

  #makeSnapshots(slotCount: number): StateSnapshots {
    const slots = new Map<number, State>();
    return {
      slotCount,
      take: (slot) => void this.#submit(() => slots.set(slot, this.#state)),
      restore: (slot) =>
        void this.#submit(() => {
          this.#state = slots.get(slot) ?? RUBBISH;
          if (!(this.#state.length <= this.#keys.length)) this.faults.push('restored what the keys do not go with');
        }),
      clear: () => void this.#submit(() => (this.#state = NOTHING)),
    };
  }

  #makeLoop(): TokenLoop {
    const isReady = (): boolean => this.#ready;
    const submitStep = (id: number, position: number): Promise<void> => this.#submit(() => this.#write([id], position));
    return {
      get ready() {
        return isReady();
      },
      capture: () => submitStep(0, 0),
      prepare: async (id, position, expected, rewind) => {
        // Once to be recorded, once to be proved.
        for (let count = 0; count < 2; count++) {
          rewind();
          await submitStep(id, position);
          if (this.#state.sum !== expected[0]) throw new Error('other logits');
        }
        this.#ready = true;
      },
      prefill: (ids, start) => this.#runSoon(ids, start),
      begin: (_seenIds: readonly number[], _rule: ChoiceRule) => undefined,
      choose: ({ position }: ChoiceStep) =>
        this.#submit(() => {
          this.#chosen = { id: this.#state.sum % VOCAB, position };
          return this.#chosen.id;
        }),
      advance: () => {
        void this.#submit(() => this.#write([this.#chosen.id], this.#chosen.position));
        return Promise.resolve();
      },
    };
  }

  #submit<T>(work: () => T): Promise<T> {
    const done = this.#queue.then(() => new Promise<void>((resolve) => setImmediate(resolve))).then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }
}
