/**
 * Makes a tokenizer in the form of tokenizer.json from a SentencePiece model.
 *
 * In: the model, and tokenizer_config.json. Out: a tokenizer that encodes as SentencePiece itself does, and as transformers 5 has
 * it (`SpmConverter.build_tokenizer_from_spm_proto`): the model's own settings decide about spaces and prefixes, byte pairs are
 * merged in the order of their scores, user defined pieces stay whole. Refused is what transformers.js cannot do: unigrams that
 * fall back to bytes, and normalisation rules of one's own.
 */
import { isJsonObject } from './json-object.ts';
import type { JsonObject } from './json-object.ts';
import { PIECE } from './sentencepiece.ts';
import type { SentencePiece, SentencePieceModel } from './sentencepiece.ts';

/** What the model is and what stands beside it. */
export interface SentencePieceSource {
  readonly model: SentencePieceModel;
  readonly config: JsonObject;
  /** added_tokens.json; counts where the config has no `added_tokens_decoder`. */
  readonly addedTokens: JsonObject | null;
}

/** SentencePiece's sign for a space. */
const SPACE = '▁';

/** Rules that transformers.js stands in for with NFKC. */
const KNOWN_RULES = ['identity', 'nmt_nfkc', 'nfkc'];

/** Classes of transformers that encode as their model says. Others shift ids or split text by rules of their own. */
export const SENTENCEPIECE_CLASSES: readonly string[] = ['LlamaTokenizer', 'GemmaTokenizer'];

/** What cannot be done here, in words; null where nothing speaks against it. */
export function findObstacle({ algorithm, byteFallback, normalizer }: SentencePieceModel): string | null {
  if (algorithm === 'other') return 'it is neither of unigrams nor of byte pairs';
  if (algorithm === 'unigram' && byteFallback) return 'its unigrams fall back to bytes';
  if (normalizer.hasCharacterMap && !KNOWN_RULES.includes(normalizer.name)) {
    return `it normalises text by a rule of its own (${normalizer.name || 'without a name'})`;
  }
  return null;
}

/** The tokenizer, and the config with the special tokens that the model itself names. */
export function convertSentencePiece({ model, config, addedTokens }: SentencePieceSource): {
  readonly tokenizer: JsonObject;
  readonly config: JsonObject;
} {
  const names = model.algorithm === 'bpe' ? readNames(config, addedTokens) : new Map<number, string>();
  const pieces = renamePieces(model.pieces, names);
  const isLegacy = config['legacy'] !== false;
  const nameOf = (id: number): string | undefined => pieces[id]?.text;
  const special = withoutUndefined({
    bos_token: config['bos_token'] ?? nameOf(model.bosId),
    eos_token: config['eos_token'] ?? nameOf(model.eosId),
    unk_token: config['unk_token'] ?? nameOf(model.unkId),
  });
  const controls = pieces.flatMap(({ text, type }, id) =>
    type === PIECE.control ? [{ id, content: text, special: true, normalized: false }] : [],
  );
  const tokenizer = {
    added_tokens: controls,
    normalizer: { type: 'Sequence', normalizers: listNormalizers(model, isLegacy) },
    pre_tokenizer: { type: 'Sequence', pretokenizers: listPreTokenizers(model, pieces, isLegacy) },
    decoder: { type: 'Sequence', decoders: listDecoders(model) },
    model: model.algorithm === 'bpe' ? makePairs(model, pieces) : makeUnigrams(model, pieces),
  };
  return { tokenizer, config: { ...config, ...special } };
}

/** A repository may give a reserved piece another name, by its id. */
function readNames(config: JsonObject, addedTokens: JsonObject | null): ReadonlyMap<number, string> {
  const decoder = config['added_tokens_decoder'];
  if (!isJsonObject(decoder)) return new Map(Object.entries(addedTokens ?? {}).map(([text, id]) => [Number(id), text]));
  return new Map(
    Object.entries(decoder).flatMap(([id, token]) =>
      isJsonObject(token) && typeof token['content'] === 'string' ? [[Number(id), token['content']] as const] : [],
    ),
  );
}

/** A name that another piece keeps is not given twice. */
function renamePieces(pieces: readonly SentencePiece[], names: ReadonlyMap<number, string>): readonly SentencePiece[] {
  const kept = new Set(pieces.filter((_, id) => !names.has(id)).map(({ text }) => text));
  return pieces.map((piece, id) => {
    const name = names.get(id);
    return name === undefined || kept.has(name) ? piece : { ...piece, text: name };
  });
}

function makePairs(model: SentencePieceModel, pieces: readonly SentencePiece[]): JsonObject {
  return {
    type: 'BPE',
    vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
    merges: listMerges(pieces),
    unk_token: pieces[model.unkId]?.text ?? null,
    fuse_unk: true,
    byte_fallback: model.byteFallback,
    ignore_merges: pieces.some(({ type }) => type === PIECE.userDefined),
  };
}

/** Every way to put a piece together from two others, the best pieces first. */
function listMerges(pieces: readonly SentencePiece[]): readonly (readonly [string, string])[] {
  const normal = new Set(pieces.filter(({ type }) => type === PIECE.normal).map(({ text }) => text));
  const ranked: { readonly score: number; readonly pair: readonly [string, string] }[] = [];
  for (const { text, score, type } of pieces) {
    if (type !== PIECE.normal) continue;
    for (let at = 1; at < text.length; at++) {
      const pair = [text.slice(0, at), text.slice(at)] as const;
      if (normal.has(pair[0]) && normal.has(pair[1])) ranked.push({ score, pair });
    }
  }
  return ranked.sort((a, b) => b.score - a.score).map(({ pair }) => pair); // a stable sort: then by id and place
}

function makeUnigrams({ unkId }: SentencePieceModel, pieces: readonly SentencePiece[]): JsonObject {
  return { type: 'Unigram', vocab: pieces.map(({ text, score }) => [text, score]), unk_id: unkId };
}

/** In SentencePiece's order. */
function listNormalizers({ normalizer }: SentencePieceModel, isLegacy: boolean): readonly JsonObject[] {
  const replace = (pattern: JsonObject, content: string): JsonObject => ({ type: 'Replace', pattern, content });
  return [
    ...(normalizer.hasCharacterMap ? [{ type: 'Precompiled', precompiled_charsmap: null }] : []),
    ...(normalizer.removeExtraWhitespaces
      ? [replace({ Regex: '\\A +| +\\z' }, ''), replace({ Regex: ' {2,}' }, ' ')] // other white space stays
      : []),
    ...(normalizer.escapeWhitespaces ? [replace({ String: ' ' }, SPACE)] : []),
    // Metaspace sets no prefix where the text begins with one; SentencePiece does.
    ...(normalizer.addDummyPrefix && isLegacy ? [replace({ Regex: `\\A${SPACE}` }, SPACE + SPACE)] : []),
  ];
}

function listPreTokenizers(
  { normalizer }: SentencePieceModel,
  pieces: readonly SentencePiece[],
  isLegacy: boolean,
): readonly JsonObject[] {
  const whole = pieces.filter(({ type, text }) => type === PIECE.userDefined && text !== '').map(({ text }) => text);
  // `legacy`: every stretch between added tokens gets its prefix, and not the first one only.
  const prependScheme = isLegacy ? 'always' : 'first';
  const pattern = whole.sort((a, b) => b.length - a.length).map(escapePattern).join('|'); // prettier-ignore
  return [
    ...(normalizer.addDummyPrefix
      ? [{ type: 'Metaspace', replacement: SPACE, prepend_scheme: prependScheme, split: false }]
      : []),
    ...(whole.length > 0 ? [{ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }] : []),
  ];
}

function listDecoders({ normalizer, byteFallback }: SentencePieceModel): readonly JsonObject[] {
  const fuse = { type: 'Fuse' };
  return [
    { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
    ...(byteFallback ? [{ type: 'ByteFallback' }] : []),
    ...(normalizer.addDummyPrefix ? [fuse, { type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
    ...(!normalizer.addDummyPrefix && byteFallback ? [fuse] : []),
  ];
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/gu, '\\$&');
}

function withoutUndefined(entries: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));
}
