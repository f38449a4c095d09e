/**
 * Makes a tokenizer in the form of tokenizer.json from vocab.json and merges.txt, as GPT-2 has them.
 *
 * In: both files, and the class that tokenizer_config.json names: the files do not say how text is split before its byte pairs
 * are merged. Out: the tokenizer that this class of transformers 5 makes of them.
 */
import type { JsonObject } from './json-object.ts';

/** How a class splits text, and what its special tokens are where the config names none. */
interface BytePairClass {
  readonly normalizer: JsonObject | null;
  readonly split: JsonObject | null;
  readonly specialTokens: JsonObject;
}

const END = '<|endoftext|>';

/** `PRETOKENIZE_REGEX` of transformers' models/qwen2/tokenization_qwen2.py. */
const QWEN2_PATTERN =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** By the name of the class, without `Fast`. */
export const BYTE_PAIR_CLASSES: Readonly<Record<string, BytePairClass>> = {
  GPT2Tokenizer: {
    normalizer: null,
    split: null,
    specialTokens: { unk_token: END, bos_token: END, eos_token: END },
  },
  Qwen2Tokenizer: {
    normalizer: { type: 'NFC' },
    split: { type: 'Split', pattern: { Regex: QWEN2_PATTERN }, behavior: 'Isolated', invert: false },
    specialTokens: { unk_token: END, eos_token: END, pad_token: END },
  },
};

/** `merges` is the text of merges.txt. @throws Error for a line that is no pair */
export function convertBytePairs(
  { normalizer, split, specialTokens }: BytePairClass,
  vocab: JsonObject,
  merges: string,
  config: JsonObject,
): { readonly tokenizer: JsonObject; readonly config: JsonObject } {
  const byteLevel = {
    type: 'ByteLevel',
    add_prefix_space: config['add_prefix_space'] === true,
    use_regex: split === null,
  };
  const tokenizer = {
    added_tokens: [],
    normalizer,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...(split === null ? [] : [split]), byteLevel] },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab, merges: parseMerges(merges), unk_token: null, fuse_unk: false, byte_fallback: false },
  };
  return { tokenizer, config: { ...specialTokens, ...config } };
}

/** A pair a line; the first line may name a version. */
function parseMerges(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line, index) => line !== '' && !(index === 0 && line.startsWith('#version')))
    .map((line) => {
      const pair = line.split(' ');
      if (pair.length !== 2) throw new Error(`merges.txt has a line that is no pair: ${JSON.stringify(line)}.`);
      return pair;
    });
}
