import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readPrompt } from '../../../src/pipeline/texts/token-decoder.ts';
import type { IdDecoder } from '../../../src/pipeline/texts/token-decoder.ts';
import { TextStream } from '../../../src/pipeline/serve/text-stream.ts';

/** Ids are bytes; what is no whole character yet waits. */
function openBytes(): IdDecoder {
  const utf8 = new TextDecoder();
  return { push: (id) => utf8.decode(Uint8Array.of(id), { stream: true }), end: () => utf8.decode() };
}

const stream = (
  text: string,
  stops: readonly string[] = [],
  prompt = 'Once ',
): { pieces: string[]; stopped: boolean } => {
  const ids = [...new TextEncoder().encode(text)];
  const stream = new TextStream(readPrompt(openBytes, [...new TextEncoder().encode(prompt)]), stops);
  const pieces: string[] = [];
  ids.forEach((id, index) => {
    if (!stream.stopped) pieces.push(stream.push(id, index === ids.length - 1));
  });
  return { pieces, stopped: stream.stopped };
};

describe('TextStream', () => {
  it('joins to the whole text, whatever the characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), (text, prompt) => {
        fc.pre(text.isWellFormed() && prompt.isWellFormed() && !text.includes('\uFFFD'));
        expect(stream(text, [], prompt).pieces.join('')).toBe(text);
      }),
    );
  });

  it('emits a character of several bytes with its last byte', () => {
    expect(stream('a🌟b').pieces).toEqual(['a', '', '', '', '🌟', 'b']);
  });

  it('emits an open character at the end rather than losing it', () => {
    const bytes = new TextStream(readPrompt(openBytes, []), []);
    expect(bytes.push(0xf0, false)).toBe('');
    expect(bytes.push(0x9f, true)).toBe('\uFFFD');
  });

  it('ends before a stop string, wherever it is cut into tokens', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1, maxLength: 5 }), fc.string(), (before, stop, after) => {
        const text = before + stop + after;
        const { pieces, stopped } = stream(text, [stop]);
        expect(stopped).toBe(true);
        expect(pieces.join('')).toBe(text.slice(0, text.indexOf(stop)));
      }),
    );
  });

  it('holds back the beginning of a stop string and releases it when it was none', () => {
    expect(stream('a<b', ['</s>']).pieces).toEqual(['a', '', '<b']);
    expect(stream('a<', ['</s>']).pieces.join('')).toBe('a<');
  });

  it('gives what the answer adds to the prompt, where the prompt ends in the middle of something', () => {
    const bytes = [...new TextEncoder().encode('a🌟b')];
    for (let cut = 0; cut <= bytes.length; cut++) {
      const text = new TextStream(readPrompt(openBytes, bytes.slice(0, cut)), []);
      const pieces = bytes.slice(cut).map((id) => text.push(id, false));
      // A character that the answer completes is all its own.
      expect(pieces.join('') + text.end()).toBe(cut === 0 ? 'a🌟b' : cut < 5 ? '🌟b' : cut === 5 ? 'b' : '');
    }
  });

  it('asks for each token once, however long the text', () => {
    let asked = 0;
    const text = new TextStream({ decoder: { push: () => `${asked++}`, end: () => '' }, promptRest: '' }, ['never']);
    for (let index = 0; index < 5000; index++) text.push(97, false);
    expect(asked).toBe(5000);
  });
});
