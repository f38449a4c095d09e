/**
 * Reads the vocabulary of a tokenizer, of whichever kind, in the form of tokenizer.json.
 *
 * In: what the tokenizer is made from, and the smaller files beside it. Out: the tokenizer, and the config with the special tokens
 * that the kind itself brings. A kind that transformers.js cannot do is refused.
 */
import { LoadError } from '../../contract/errors.ts';
import type { TokenizerSource } from '../../contract/plan.ts';
import { BYTE_PAIR_CLASSES, convertBytePairs } from '../../formats/tokenizer/from-byte-pairs.ts';
import {
  convertSentencePiece,
  findObstacle,
  SENTENCEPIECE_CLASSES,
} from '../../formats/tokenizer/from-sentencepiece.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import { parseSentencePiece } from '../../formats/tokenizer/sentencepiece.ts';
import { explain, readBytes, readJson, readText, TEXT_KINDS } from './read-file.ts';
import type { TextSource } from './read-file.ts';

/** See the file's header. */
export interface Vocabulary {
  readonly tokenizer: JsonObject;
  readonly config: JsonObject | null;
  /** Whether it was made from other files: then the config alone says what is set around a text. */
  readonly isConverted: boolean;
  /** Whether every added token is looked for in the text as it came, before it is normalised. */
  readonly addedTokensAreRaw: boolean;
}

/** The files beside a vocabulary. */
export interface VocabularySurroundings {
  readonly config: JsonObject | null;
  readonly addedTokens: JsonObject | null;
}

/** @throws LoadError `tokenizer_invalid`, `tokenizer_unsupported`, and what reading throws */
export async function readVocabulary(
  source: TextSource,
  kind: TokenizerSource,
  beside: Promise<VocabularySurroundings>,
  signal: AbortSignal,
): Promise<Vocabulary> {
  switch (kind) {
    case 'tokenizer.json':
      return readTokenizerJson(source, beside, signal);
    case 'tokenizer.model':
      return readSentencePiece(source, beside, signal);
    case 'vocab.json':
      return readBytePairs(source, beside, signal);
  }
}

async function readTokenizerJson(
  source: TextSource,
  beside: Promise<VocabularySurroundings>,
  signal: AbortSignal,
): Promise<Vocabulary> {
  const reading = readJson(source, 'tokenizer.json', TEXT_KINDS.vocabulary, signal);
  const [tokenizer, { config }] = await Promise.all([reading, beside]);
  return { tokenizer: tokenizer ?? {}, config, isConverted: false, addedTokensAreRaw: false };
}

async function readSentencePiece(
  source: TextSource,
  beside: Promise<VocabularySurroundings>,
  signal: AbortSignal,
): Promise<Vocabulary> {
  const path = 'tokenizer.model';
  const [bytes, { config, addedTokens }] = await Promise.all([
    readBytes(source, path, TEXT_KINDS.vocabulary, signal),
    beside,
  ]);
  const name = readClass(config);
  if (name !== null && !SENTENCEPIECE_CLASSES.includes(name)) throw unsupported(path, `is read by ${name}`);
  // Llama 3's own tokenizer.model is no SentencePiece model: lines of byte pairs and their ranks.
  const model = explain(() => parseSentencePiece(bytes ?? new Uint8Array()), `${path} is no SentencePiece model.`);
  const obstacle = findObstacle(model);
  if (obstacle !== null) throw unsupported(path, `is a SentencePiece model, but ${obstacle}`);
  const converted = convertSentencePiece({ model, config: config ?? {}, addedTokens });
  return { ...converted, isConverted: true, addedTokensAreRaw: model.normalizer.addDummyPrefix };
}

async function readBytePairs(
  source: TextSource,
  beside: Promise<VocabularySurroundings>,
  signal: AbortSignal,
): Promise<Vocabulary> {
  const [vocab, merges, { config }] = await Promise.all([
    readJson(source, 'vocab.json', TEXT_KINDS.vocabulary, signal),
    readText(source, 'merges.txt', TEXT_KINDS.vocabulary, signal),
    beside,
  ]);
  const name = readClass(config);
  const rules = name === null ? undefined : BYTE_PAIR_CLASSES[name];
  if (!rules) {
    const known = Object.keys(BYTE_PAIR_CLASSES).join(' or ');
    const what = name === null ? 'tokenizer_config.json names no class' : `its class is ${name}`;
    throw unsupported('vocab.json', `with merges.txt can be read for ${known}, but ${what}`);
  }
  const converted = explain(() => convertBytePairs(rules, vocab ?? {}, merges ?? '', config ?? {}));
  return { ...converted, isConverted: true, addedTokensAreRaw: false };
}

/** The class that Python would use, without `Fast`; null where that is the general one. */
function readClass(config: JsonObject | null): string | null {
  const name = config?.['tokenizer_class'];
  if (typeof name !== 'string') return null;
  const plain = name.replace(/Fast$/u, '');
  return ['PreTrainedTokenizer', 'TokenizersBackend'].includes(plain) ? null : plain;
}

function unsupported(path: string, what: string): LoadError {
  return new LoadError('tokenizer_unsupported', {
    message:
      `${path} ${what}. Choose a repository that has a tokenizer.json (save_pretrained() of transformers writes one), ` +
      "or load it with tokenizer: 'none' and pass token ids.",
    detail: { path },
  });
}
