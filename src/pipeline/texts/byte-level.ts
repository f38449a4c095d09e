/**
 * The characters that byte-level tokenizers write for bytes.
 *
 * The table is that of GPT-2 (`bytes_to_unicode` in openai/gpt-2, src/encoder.py): a byte that is a printable character of
 * Latin-1 stands for itself; the others, in order, are written as the characters from U+0100 on.
 */

/** Character → byte, for all 256. */
export const BYTE_OF_CHARACTER: ReadonlyMap<string, number> = makeTable();

function makeTable(): Map<string, number> {
  const table = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) table.set(String.fromCodePoint(isPrintable(byte) ? byte : next++), byte);
  return table;
}

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}
