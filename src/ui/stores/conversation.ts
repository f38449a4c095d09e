/**
 * Turns of a conversation as data.
 *
 * In: turns and what the model writes. Out: new lists of turns; nothing is changed in place.
 * Guarantees: an answer belongs to the last turn; a turn without an answer never reaches a chat template.
 */
import type { ChatMessage, GenerateReport } from '../../contract/generate.ts';

/** A question and its answer, as far as it is written. */
export interface Turn {
  readonly id: number;
  readonly prompt: string;
  readonly answer: string;
  readonly tokens: number;
  readonly state: 'writing' | 'done' | 'stopped' | 'failed';
  readonly report: GenerateReport | null;
}

/** A turn that has just been asked. */
export function openTurn(turns: readonly Turn[], prompt: string): readonly Turn[] {
  const id = (turns.at(-1)?.id ?? 0) + 1;
  return [...turns, { id, prompt, answer: '', tokens: 0, state: 'writing', report: null }];
}

/** The turns with `change` applied to the last one. */
export function changeLastTurn(turns: readonly Turn[], change: Partial<Omit<Turn, 'id' | 'prompt'>>): readonly Turn[] {
  const last = turns.at(-1);
  return last === undefined ? turns : [...turns.slice(0, -1), { ...last, ...change }];
}

/** The conversation as a chat template takes it: whole turns, then the open question. */
export function toMessages(turns: readonly Turn[]): readonly ChatMessage[] {
  return turns.flatMap((turn, index) => {
    const question: ChatMessage = { role: 'user', content: turn.prompt };
    if (index === turns.length - 1) return [question];
    return turn.answer === '' ? [] : [question, { role: 'assistant', content: turn.answer }];
  });
}

/** Tokens a second after the first one; null where there are too few to say. */
export function decodeRate(report: GenerateReport): number | null {
  const decodeMs = report.totalMs - report.firstTokenMs;
  return report.newTokens > 1 && decodeMs > 0 ? ((report.newTokens - 1) * 1000) / decodeMs : null;
}
