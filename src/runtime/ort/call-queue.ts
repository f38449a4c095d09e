/**
 * A fair queue in front of something that can do one thing at a time.
 *
 * In: calls, each in the line of the model that makes it. Out: one call at a time. Guarantees:
 * - within a line, calls go in the order in which they came; between lines, each has a turn in every round;
 * - a build takes seconds or minutes. It does not go ahead of the step that another line waits with when it comes, and no line
 *   makes more than two steps before it: no answer, however long, keeps a build from its turn. Between two builds of a line the
 *   others have a turn;
 * - where nothing runs, a call begins at once, before {@link CallQueue.call} returns;
 * - a call that fails, or whose signal fires while it waits, takes nothing from the others. One that has begun runs to its end.
 *
 * This is start-time fair queueing (Goyal, Vin and Cheng, 1996), with every call counted as one.
 */
import { abortedError, throwIfAborted } from '../../base/abort.ts';

/** `release` gives something back: it goes also where its line was ended. */
export type CallKind = 'step' | 'build' | 'release';

/** The calls of one model; see {@link CallQueue.openLine}. */
export interface CallLine {
  /** The round in which its last call began. */
  lastRound: number;
  /** What all its calls but releases fail with; null while they go. */
  endedBy: Error | null;
}

/** A call that waits. */
interface Waiting {
  readonly line: CallLine;
  readonly kind: CallKind;
  /** The round that the queue was in when it came. */
  readonly cameInRound: number;
  readonly begin: () => void;
  readonly fail: (error: Error) => void;
}

/** See the file's header. */
export class CallQueue {
  /** In the order in which they came. */
  #waiting: Waiting[] = [];
  #isRunning = false;
  /** The round of the call that runs, or ran last. */
  #round = 0;

  openLine(): CallLine {
    return { lastRound: -1, endedBy: null };
  }

  /**
   * Runs `work` when it is its turn. `work` must not wait for another call of this queue.
   * @throws LoadError `aborted`, if the signal fires before that; what ended its line; what `work` throws
   */
  async call<T>(line: CallLine, kind: CallKind, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    throwIfAborted(signal);
    if (line.endedBy !== null && kind !== 'release') throw line.endedBy;
    if (this.#isRunning) await this.#wait(line, kind, signal);
    else this.#enter(line, toRound({ line, kind, cameInRound: this.#round }));
    try {
      return await work();
    } finally {
      this.#beginNext();
    }
  }

  /** Fails the calls of a line that wait or are still to come, but for releases. Calling it again changes nothing. */
  endLine(line: CallLine, error: Error): void {
    line.endedBy ??= error;
    const [ended, left] = [[] as Waiting[], [] as Waiting[]];
    for (const one of this.#waiting) (one.line === line && one.kind !== 'release' ? ended : left).push(one);
    this.#waiting = left;
    for (const { fail } of ended) fail(line.endedBy);
  }

  /** Resolves when it is the call's turn, which it then has. */
  async #wait(line: CallLine, kind: CallKind, signal: AbortSignal | undefined): Promise<void> {
    let onAbort: (() => void) | undefined;
    try {
      await new Promise<void>((begin, fail) => {
        const waiting: Waiting = { line, kind, cameInRound: this.#round, begin, fail };
        this.#waiting.push(waiting);
        onAbort = () => {
          this.#waiting = this.#waiting.filter((other) => other !== waiting);
          if (signal) fail(abortedError(signal)); // does nothing where it has begun
        };
        signal?.addEventListener('abort', onAbort, { once: true });
      });
    } finally {
      if (onAbort) signal?.removeEventListener('abort', onAbort);
    }
  }

  #beginNext(): void {
    this.#isRunning = false;
    const [next] = this.#listFirst().sort(
      (a, b) => toRound(a) - toRound(b) || Number(a.kind === 'build') - Number(b.kind === 'build'),
    );
    if (next === undefined) return;
    this.#waiting = this.#waiting.filter((other) => other !== next);
    this.#enter(next.line, toRound(next));
    next.begin();
  }

  /** The first of each line, in the order in which they came. */
  #listFirst(): Waiting[] {
    const lines = new Set<CallLine>();
    return this.#waiting.filter(({ line }) => !lines.has(line) && lines.add(line));
  }

  #enter(line: CallLine, round: number): void {
    this.#isRunning = true;
    this.#round = line.lastRound = round;
  }
}

/** The round in which a call may begin: one call of a line in each, and a build a round later than a step. */
function toRound({ line, kind, cameInRound }: Pick<Waiting, 'line' | 'kind' | 'cameInRound'>): number {
  return Math.max(cameInRound, line.lastRound + 1) + (kind === 'build' ? 1 : 0);
}
