/**
 * The steps that turn a tokenizer's tokens into text, one token at a time.
 *
 * In: the `decoder` of a tokenizer.json. Out: a {@link TokenJoiner}, fed with tokens, that gives out text as soon as no later
 * token can change it. Guarantees: all that it gives out, joined, is what Hugging Face's `tokenizers` makes of the whole list
 * (tokenizers/src/decoders/*.rs): the rules are those of its decoders, and each was rewritten so that it needs to see only the
 * next token. Ours because transformers.js decodes whole lists only, and differs from `tokenizers` for byte fallback,
 * Metaspace and added tokens.
 *
 * Most steps map a list of tokens to another list. `Fuse` and `ByteLevel` make one text of the list; what follows them sees that
 * text as a single token, of which the steps here are given one part after another.
 */
import { LoadError } from '../../contract/errors.ts';
import { isJsonObject } from '../../formats/tokenizer/json-object.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import { BYTE_OF_CHARACTER } from './byte-level.ts';

/** Takes tokens, gives text. `end` gives what had to wait for the end; nothing may follow it. */
export interface TokenJoiner {
  push(token: string): string;
  end(): string;
}

/** One decoder, as a step from tokens to tokens. */
interface Step {
  push(token: string): readonly string[];
  end(): readonly string[];
}

/** Whether a step is given tokens, or parts of the one text that was made of them. */
type Input = 'tokens' | 'text';

/**
 * Checks the `decoder` of a tokenizer.json, and yields a function that begins a new text by it.
 * @throws LoadError `tokenizer_invalid` for a decoder of an unknown kind
 */
export function compileDecoder(decoder: unknown): () => TokenJoiner {
  const begin = isJsonObject(decoder)
    ? (): readonly Step[] => makeSteps(decoder)
    : (): readonly Step[] => [separateWords()];
  begin();
  return () => chain(begin());
}

function chain(steps: readonly Step[]): TokenJoiner {
  /** Feeds tokens to the steps from number `first` on. */
  const run = (tokens: readonly string[], first: number): readonly string[] =>
    steps.slice(first).reduce((list, step) => list.flatMap((token) => step.push(token)), tokens);
  return {
    push: (token) => run([token], 0).join(''),
    end: () => steps.map((step, index) => run(step.end(), index + 1).join('')).join(''),
  };
}

function makeSteps(decoder: JsonObject): readonly Step[] {
  const steps: Step[] = [];
  let input: Input = 'tokens';
  for (const config of listDecoders(decoder)) {
    const step = makeStep(config, input);
    if (step !== null) steps.push(step);
    if (config['type'] === 'Fuse' || config['type'] === 'ByteLevel') input = 'text';
  }
  return steps;
}

/** The decoders in order, those of nested sequences too. */
function listDecoders(config: JsonObject): readonly JsonObject[] {
  if (config['type'] !== 'Sequence') return [config];
  const { decoders } = config;
  return Array.isArray(decoders) ? decoders.filter(isJsonObject).flatMap(listDecoders) : [];
}

/** Null where there is nothing to do. */
function makeStep(config: JsonObject, input: Input): Step | null {
  switch (config['type']) {
    case 'Fuse':
      return null;
    case 'ByteLevel':
      return input === 'tokens' ? byteLevel() : atTheEnd(byteLevel);
    case 'ByteFallback':
      return input === 'tokens' ? byteFallback() : atTheEnd(byteFallback);
    case 'Strip':
      return input === 'tokens' ? strip(config) : stripText(config);
    case 'Replace':
      return replace(config, input);
    case 'Metaspace':
      return metaspace(config, input);
    case 'WordPiece':
      return input === 'tokens' ? wordPiece(config) : atTheEnd(() => wordPiece(config));
    case 'BPEDecoder':
      return input === 'tokens' ? wordSuffix(config) : atTheEnd(() => wordSuffix(config));
    default:
      throw new LoadError('tokenizer_invalid', {
        message: `tokenizer.json names a decoder of the kind ${JSON.stringify(config['type'])}, which is not known here.`,
        stage: 'serve',
        detail: { file: 'tokenizer.json', decoder: config['type'] },
      });
  }
}

/** A step that looks at each token alone. */
function each(change: (token: string, index: number) => string): Step {
  let index = 0;
  return { push: (token) => [change(token, index++)], end: () => [] };
}

/** A step that can do nothing before it knows the whole text. No tokenizer that we know of needs it. */
function atTheEnd(begin: () => Step): Step {
  let text = '';
  return {
    push: (part) => {
      text += part;
      return [];
    },
    end: () => {
      const step = begin();
      return [...step.push(text), ...step.end()];
    },
  };
}

/** What tokenizers without a decoder do. */
function separateWords(): Step {
  return each((token, index) => (index === 0 ? token : ` ${token}`));
}

/** Characters that stand for bytes → UTF-8 text; a token with any other character stands for itself. */
function byteLevel(): Step {
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  return {
    push: (token) => [utf8.decode(bytesOf(token), { stream: true })],
    end: () => [utf8.decode()],
  };
}

function bytesOf(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  let count = 0;
  for (const character of token) {
    const byte = BYTE_OF_CHARACTER.get(character);
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes[count++] = byte;
  }
  return bytes.subarray(0, count);
}

const BYTE_TOKEN = /^<0x[0-9A-Fa-f]{2}>$/u;

/** Whether a token may stand for one byte of a character. */
export function isByteToken(token: string): boolean {
  return BYTE_TOKEN.test(token);
}

/** `<0xF0>` … → UTF-8 text. A run of such tokens waits for its end, because one wrong byte makes every byte of it U+FFFD. */
function byteFallback(): Step {
  let run: number[] = [];
  const endRun = (): readonly string[] => {
    if (run.length === 0) return [];
    const bytes = Uint8Array.from(run);
    run = [];
    try {
      return [new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)];
    } catch {
      return ['\uFFFD'.repeat(bytes.length)];
    }
  };
  return {
    push: (token) => {
      if (!isByteToken(token)) return [...endRun(), token];
      run.push(Number.parseInt(token.slice(3, 5), 16));
      return [];
    },
    end: endRun,
  };
}

/** Takes up to `start` of a character off the beginning of each token, and up to `stop` off its end. */
function strip(config: JsonObject): Step {
  const { content, start, stop } = readStrip(config);
  return each((token) => {
    let rest = token;
    for (let count = 0; count < start && rest.startsWith(content); count++) rest = rest.slice(content.length);
    for (let count = 0; count < stop && rest.endsWith(content); count++) rest = rest.slice(0, -content.length);
    return rest;
  });
}

/** The same for a text that comes in parts. */
function stripText(config: JsonObject): Step {
  const { content, start, stop } = readStrip(config);
  let toSkip = start;
  let held = '';
  return {
    push: (part) => {
      let rest = part;
      for (; toSkip > 0 && rest !== ''; toSkip--) {
        if (rest.startsWith(content)) rest = rest.slice(content.length);
        else toSkip = 1;
      }
      const all = held + rest;
      let keep = 0;
      while (keep < stop && all.endsWith(content.repeat(keep + 1))) keep++;
      held = content.repeat(keep);
      return [all.slice(0, all.length - held.length)];
    },
    end: () => [],
  };
}

function readStrip(config: JsonObject): { readonly content: string; readonly start: number; readonly stop: number } {
  const { content, start, stop } = config;
  return {
    content: typeof content === 'string' ? content : '',
    start: typeof start === 'number' && content !== '' ? start : 0,
    stop: typeof stop === 'number' && content !== '' ? stop : 0,
  };
}

function replace(config: JsonObject, input: Input): Step {
  const { pattern, content } = config;
  const wanted = isJsonObject(pattern) ? (pattern['String'] ?? pattern['Regex']) : pattern;
  const isLiteral = !(isJsonObject(pattern) && pattern['Regex'] !== undefined);
  if (typeof wanted !== 'string') return each((token) => token);
  const found = isLiteral ? wanted : compilePattern(wanted);
  const change = (): Step =>
    each((token) => token.replaceAll(found, () => (typeof content === 'string' ? content : '')));
  // A pattern of several characters may lie across two parts.
  return input === 'tokens' || (isLiteral && wanted.length === 1) ? change() : atTheEnd(change);
}

function compilePattern(source: string): RegExp {
  try {
    return new RegExp(source, 'gu');
  } catch (cause) {
    throw new LoadError('tokenizer_invalid', {
      message: `tokenizer.json has a decoder with a pattern that is no regular expression here: ${source}`,
      stage: 'serve',
      detail: { file: 'tokenizer.json', pattern: source },
      cause,
    });
  }
}

/** SentencePiece's mark of a space, which at the beginning was added by the tokenizer unless `prepend_scheme` is `never`. */
function metaspace(config: JsonObject, input: Input): Step {
  const { replacement, prepend_scheme, add_prefix_space } = config;
  const mark = typeof replacement === 'string' ? replacement : '\u2581';
  const wasAdded = prepend_scheme === undefined ? add_prefix_space !== false : prepend_scheme !== 'never';
  return each((token, index) => token.replaceAll(mark, wasAdded && (index === 0 || input === 'text') ? '' : ' '));
}

/** BERT's words: `##` goes on with a word. `cleanup` is the tokenizer's own, and looks at each token alone. */
function wordPiece({ prefix, cleanup }: JsonObject): Step {
  const goesOn = typeof prefix === 'string' ? prefix : '##';
  return each((token, index) => {
    if (index === 0) return cleanup === true ? cleanUp(token) : token;
    const word = token.startsWith(goesOn) ? token.slice(goesOn.length) : ` ${token}`;
    return cleanup === true ? cleanUp(word) : word;
  });
}

/** In the order of tokenizers/src/decoders/wordpiece.rs. */
const CLEAN_UPS: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function cleanUp(token: string): string {
  return CLEAN_UPS.reduce((text, [from, to]) => text.replaceAll(from, to), token);
}

/** A suffix that ends words: a space, but after the last token nothing. Each token waits for the next. */
function wordSuffix({ suffix }: JsonObject): Step {
  const mark = typeof suffix === 'string' && suffix !== '' ? suffix : '</w>';
  let held: string | null = null;
  return {
    push: (token) => {
      const ready = held === null ? [] : [held.replaceAll(mark, ' ')];
      held = token;
      return ready;
    },
    end: () => (held === null ? [] : [held.replaceAll(mark, '')]),
  };
}
