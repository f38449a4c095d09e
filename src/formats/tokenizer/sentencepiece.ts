/**
 * Reads a SentencePiece model (`tokenizer.model`).
 *
 * In: the file's bytes, a protobuf. Out: its pieces, and the few settings that decide how text becomes ids. Field numbers and
 * defaults: sentencepiece_model.proto (github.com/google/sentencepiece).
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** What a piece is for, as the file numbers it. */
export const PIECE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** An entry of the vocabulary; its place in the list is its id. */
export interface SentencePiece {
  readonly text: string;
  readonly score: number;
  /** One of {@link PIECE}. */
  readonly type: number;
}

/** See the file's header. */
export interface SentencePieceModel {
  readonly pieces: readonly SentencePiece[];
  readonly algorithm: 'unigram' | 'bpe' | 'other';
  readonly byteFallback: boolean;
  readonly unkId: number;
  /** Negative: the model has none. */
  readonly bosId: number;
  readonly eosId: number;
  readonly normalizer: {
    /** Of the rule that the map was made from: `identity`, `nmt_nfkc`, … */
    readonly name: string;
    readonly hasCharacterMap: boolean;
    readonly addDummyPrefix: boolean;
    readonly removeExtraWhitespaces: boolean;
    readonly escapeWhitespaces: boolean;
  };
}

const ALGORITHMS: Readonly<Record<number, SentencePieceModel['algorithm']>> = { 1: 'unigram', 2: 'bpe' };

/** @throws Error for bytes that are no such model */
export function parseSentencePiece(bytes: Uint8Array): SentencePieceModel {
  const pieces: SentencePiece[] = [];
  let trainer: Uint8Array = new Uint8Array();
  let normalizer: Uint8Array = new Uint8Array();
  readFields(bytes, {
    1: (reader) => pieces.push(parsePiece(reader.bytes())),
    2: (reader) => (trainer = reader.bytes()),
    3: (reader) => (normalizer = reader.bytes()),
  });
  if (pieces.length === 0) throw new Error('It has no pieces.');
  return { pieces, ...parseTrainer(trainer), normalizer: parseNormalizer(normalizer) };
}

function parsePiece(bytes: Uint8Array): SentencePiece {
  let text = '';
  let score = 0;
  let type: number = PIECE.normal;
  readFields(bytes, {
    1: (reader) => (text = reader.string()),
    2: (reader) => (score = reader.float()),
    3: (reader) => (type = reader.int32()),
  });
  return { text, score, type };
}

function parseTrainer(bytes: Uint8Array): Omit<SentencePieceModel, 'pieces' | 'normalizer'> {
  let algorithm = 1;
  let byteFallback = false;
  let [unkId, bosId, eosId] = [0, 1, 2];
  readFields(bytes, {
    3: (reader) => (algorithm = reader.int32()),
    35: (reader) => (byteFallback = reader.bool()),
    40: (reader) => (unkId = reader.int32()),
    41: (reader) => (bosId = reader.int32()),
    42: (reader) => (eosId = reader.int32()),
  });
  return { algorithm: ALGORITHMS[algorithm] ?? 'other', byteFallback, unkId, bosId, eosId };
}

function parseNormalizer(bytes: Uint8Array): SentencePieceModel['normalizer'] {
  let name = '';
  let hasCharacterMap = false;
  let [addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces] = [true, true, true];
  readFields(bytes, {
    1: (reader) => (name = reader.string()),
    2: (reader) => (hasCharacterMap = reader.bytes().byteLength > 0),
    3: (reader) => (addDummyPrefix = reader.bool()),
    4: (reader) => (removeExtraWhitespaces = reader.bool()),
    5: (reader) => (escapeWhitespaces = reader.bool()),
  });
  return { name, hasCharacterMap, addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces };
}

type Readers = Readonly<Record<number, (reader: BinaryReader) => unknown>>;

/** Calls the reader of each field that has one, and skips the others. */
function readFields(bytes: Uint8Array, readers: Readers): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const read = readers[field];
    // A group has no length: nothing in this format is one.
    if (wireType === WireType.StartGroup || wireType === WireType.EndGroup) throw new Error('It holds groups.');
    if (read) read(reader);
    else reader.skip(wireType, field);
  }
}
