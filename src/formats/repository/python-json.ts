/**
 * JSON as Python reads it: the files of a repository are written by Python's `json` module and meant to be read by it.
 *
 * In: text. Out: what `json.loads` makes of it. Guarantees: beyond JSON, `NaN`, `Infinity` and `-Infinity` count as numbers
 * where a value may stand, never inside of strings; a byte order mark at the start is skipped; nothing else is allowed.
 *
 * Python documents the three words under "Infinite and NaN number values" (https://docs.python.org/3/library/json.html).
 * `json.loads` skips a byte order mark where it is given bytes, and refuses it where it is given text.
 */
import { findClosingQuote } from '../json-keys.ts';

/** @throws SyntaxError, RangeError (nested too deeply for the engine's stack) */
export function parsePythonJson(text: string): unknown {
  const withoutMark = text.startsWith('\ufeff') ? text.slice(1) : text;
  try {
    return JSON.parse(withoutMark);
  } catch (error) {
    // Nearly all files are plain JSON, so the words are looked for only where the plain parser has failed.
    const rewritten = replaceWords(withoutMark, 'null');
    if (rewritten.infinities + rewritten.nans === 0) throw error;
    if (rewritten.nans === 0) return JSON.parse(rewritten.json);
    // NaN travels as a string that stands nowhere else in the file, and is put back afterwards.
    const strings = new Set<unknown>();
    JSON.parse(rewritten.json, (_key, value: unknown) => {
      if (typeof value === 'string') strings.add(value);
      return value;
    });
    let marker = 'NaN';
    while (strings.has(marker)) marker += 'N';
    return JSON.parse(replaceWords(withoutMark, JSON.stringify(marker)).json, (_key, value: unknown) =>
      value === marker ? NaN : value,
    );
  }
}

/** The spaces around what is put in keep it from becoming one word with a digit that stands next to it. */
function replaceWords(text: string, nan: string): { json: string; infinities: number; nans: number } {
  const parts: string[] = [];
  let copied = 0;
  let infinities = 0;
  let nans = 0;
  const words = /"|-?Infinity|NaN/gu;
  for (let match = words.exec(text); match !== null; match = words.exec(text)) {
    const [word] = match;
    if (word === '"') {
      words.lastIndex = findClosingQuote(text, match.index) + 1;
      continue;
    }
    if (word === 'NaN') nans++;
    else infinities++;
    // 1e999 is beyond the largest double, which JSON.parse reads as infinity.
    const number = word === 'NaN' ? nan : word === 'Infinity' ? '1e999' : '-1e999';
    parts.push(text.slice(copied, match.index), ` ${number} `);
    copied = match.index + word.length;
  }
  parts.push(text.slice(copied));
  return { json: parts.join(''), infinities, nans };
}
