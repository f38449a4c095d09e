import { describe, expect, it } from 'vitest';
import type { GenerateSettings } from '../../../src/pipeline/serve/generate-settings.ts';
import { GenerationOutput } from '../../../src/pipeline/serve/generation-output.ts';

const letters = (ids: readonly number[]): string => String.fromCharCode(...ids);

function run(text: string, changes: Partial<GenerateSettings>): { text: string; count: number; reason: string | null } {
  const settings: GenerateSettings = {
    maxNewTokens: 100,
    limitedByContext: false,
    minNewTokens: 0,
    repetitionPenalty: 1,
    sampling: null,
    seed: null,
    stops: [],
    eosIds: new Set(),
    ...changes,
  };
  let made = '';
  const output = new GenerationOutput(letters, [], settings, (token) => (made += token.text));
  for (const letter of text) output.push(letter.charCodeAt(0));
  return { text: made, count: output.newTokens, reason: output.finishReason };
}

describe('GenerationOutput', () => {
  it('goes on until something ends it', () => {
    expect(run('hello', {})).toEqual({ text: 'hello', count: 5, reason: null });
  });

  it('ends with an end token, a stop string, the length or the context, and takes nothing more', () => {
    const eosIds = new Set(['!'.charCodeAt(0)]);
    expect(run('hi! there', { eosIds })).toEqual({ text: 'hi!', count: 3, reason: 'eos' });
    expect(run('hi <end> there', { stops: ['<end>'] })).toEqual({ text: 'hi ', count: 8, reason: 'stop' });
    expect(run('hello', { maxNewTokens: 3 })).toEqual({ text: 'hel', count: 3, reason: 'length' });
    expect(run('hello', { maxNewTokens: 3, limitedByContext: true })).toMatchObject({ reason: 'context' });
  });

  it('prefers the stop string, then the end token, where several come together', () => {
    const eosIds = new Set(['!'.charCodeAt(0)]);
    expect(run('ok!', { eosIds, maxNewTokens: 3 })).toMatchObject({ reason: 'eos' });
    expect(run('ok!', { eosIds, maxNewTokens: 3, stops: ['k!'] })).toEqual({ text: 'o', count: 3, reason: 'stop' });
  });
});
