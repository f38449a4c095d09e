import { describe, expect, it } from 'vitest';
import type { GenerateSettings } from '../../../src/pipeline/serve/generate-settings.ts';
import { GenerationOutput } from '../../../src/pipeline/serve/generation-output.ts';
import { TextStream } from '../../../src/pipeline/serve/text-stream.ts';
import { plainSettings } from './plain-settings.ts';

function run(text: string, changes: Partial<GenerateSettings>): { text: string; count: number; reason: string | null } {
  const settings: GenerateSettings = { ...plainSettings(100), ...changes };
  let made = '';
  const stream = new TextStream(
    { decoder: { push: (id) => String.fromCharCode(id), end: () => '' }, promptRest: '' },
    settings.stops,
  );
  const output = new GenerationOutput(stream, settings, (token) => (made += token.text));
  for (const letter of text) output.push(letter.charCodeAt(0));
  return { text: made, count: output.newTokens, reason: output.finishReason };
}

describe('GenerationOutput', () => {
  it('goes on until something ends it', () => {
    expect(run('hello', {})).toEqual({ text: 'hello', count: 5, reason: null });
  });

  it('ends with an end token, a stop string, the length or the context, and takes nothing more', () => {
    const eosIds = new Set(['!'.charCodeAt(0)]);
    expect(run('hi! there', { eosIds })).toEqual({ text: 'hi', count: 3, reason: 'eos' });
    expect(run('hi <end> there', { stops: ['<end>'] })).toEqual({ text: 'hi ', count: 8, reason: 'stop' });
    expect(run('hello', { maxNewTokens: 3 })).toEqual({ text: 'hel', count: 3, reason: 'length' });
    expect(run('hello', { maxNewTokens: 3, limitedByContext: true })).toMatchObject({ reason: 'context' });
  });

  it('an end token has no text, whether it is special or not; what was held back for a stop string comes before it', () => {
    const eosIds = new Set(['!'.charCodeAt(0)]);
    expect(run('ok<!', { eosIds, stops: ['<!', '</s>'] })).toEqual({ text: 'ok<', count: 4, reason: 'eos' });
  });

  it('prefers the stop string, then the end token, where several come together', () => {
    const eosIds = new Set(['!'.charCodeAt(0)]);
    expect(run('ok!', { eosIds, maxNewTokens: 3 })).toMatchObject({ reason: 'eos' });
    expect(run('ok!', { eosIds, maxNewTokens: 2, stops: ['k'] })).toEqual({ text: 'o', count: 2, reason: 'stop' });
  });
});
