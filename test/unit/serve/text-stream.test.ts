import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextStream } from '../../../src/pipeline/serve/text-stream.ts';

/** A byte-level decoder, as byte-fallback tokenizers have: ids are bytes, open characters become U+FFFD. */
const decodeBytes = (ids: number[]): string => new TextDecoder().decode(Uint8Array.from(ids));

const stream = (
  text: string,
  stops: readonly string[] = [],
  prompt = 'Once ',
): { pieces: string[]; stopped: boolean } => {
  const ids = [...new TextEncoder().encode(text)];
  const stream = new TextStream(decodeBytes, [...new TextEncoder().encode(prompt)], stops);
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
    const bytes = new TextStream(decodeBytes, [], []);
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

  it('decodes a bounded window, however long the text', () => {
    let longest = 0;
    const text = new TextStream(
      (ids) => {
        longest = Math.max(longest, ids.length);
        return decodeBytes(ids);
      },
      [],
      [],
    );
    for (let index = 0; index < 5000; index++) text.push(97, false);
    expect(longest).toBeLessThan(16);
  });
});
