/**
 * The vocabulary of a GGUF file as a SentencePiece model: real pieces, for want of a real tokenizer.model that may be copied.
 *
 * In: the bytes of a vocabulary-only GGUF file (github.com/ggml-org/ggml, docs/gguf.md). Out: the bytes of a model with the same
 * pieces, scores and types, and the settings of Llama's.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

export function toSentencePieceModel(gguf: Buffer): Uint8Array {
  const metadata = readMetadata(gguf);
  const list = (key: string): unknown => metadata.get(`tokenizer.ggml.${key}`);
  const scores = list('scores') as readonly number[];
  const types = list('token_type') as readonly number[];
  const model = new BinaryWriter();
  (list('tokens') as readonly string[]).forEach((text, id) => {
    model.tag(1, WireType.LengthDelimited).fork();
    model.tag(1, WireType.LengthDelimited).string(text);
    model.tag(2, WireType.Bit32).float(scores[id] ?? 0);
    model.tag(3, WireType.Varint).int32(types[id] ?? 1);
    model.join();
  });
  model.tag(2, WireType.LengthDelimited).fork(); // byte pairs, with a way back to bytes
  model.tag(3, WireType.Varint).int32(2).tag(35, WireType.Varint).bool(true).join();
  model.tag(3, WireType.LengthDelimited).fork(); // a prefix, and no white space removed
  model.tag(3, WireType.Varint).bool(true).tag(4, WireType.Varint).bool(false).join();
  return model.finish();
}

/** Bytes of a number of each type, and how it is read. */
const NUMBERS: Readonly<Record<number, readonly [sizeBytes: number, read: (bytes: Buffer, at: number) => number]>> = {
  4: [4, (bytes, at) => bytes.readUInt32LE(at)],
  5: [4, (bytes, at) => bytes.readInt32LE(at)],
  6: [4, (bytes, at) => bytes.readFloatLE(at)],
  7: [1, (bytes, at) => bytes.readUInt8(at)],
  10: [8, (bytes, at) => Number(bytes.readBigUInt64LE(at))],
};
const TEXT = 8;
const LIST = 9;

function readMetadata(gguf: Buffer): ReadonlyMap<string, unknown> {
  let at = 24;
  const readNumber = (type: number): number => {
    const known = NUMBERS[type];
    if (!known) throw new Error(`The GGUF file has a number of type ${type}.`);
    at += known[0];
    return known[1](gguf, at - known[0]);
  };
  const readText = (): string => {
    const length = readNumber(10);
    at += length;
    return gguf.toString('utf8', at - length, at);
  };
  const readValue = (type: number): unknown => {
    if (type === TEXT) return readText();
    if (type !== LIST) return readNumber(type);
    const itemType = readNumber(4);
    return Array.from({ length: readNumber(10) }, () => readValue(itemType));
  };
  const entries = Array.from({ length: Number(gguf.readBigUInt64LE(16)) }, () => {
    const key = readText();
    return [key, readValue(readNumber(4))] as const;
  });
  return new Map(entries);
}
