/**
 * Finds what JSON.parse hides: a key that an object holds twice (the last one silently wins).
 *
 * In: text that JSON.parse has accepted. Out: the first repeated key, at any depth, or null. Keys are compared decoded,
 * so that an escape cannot disguise one. One pass, no recursion: hostile nesting costs memory, never the stack.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** The first key that stands twice in one object of `validJson`, or null. */
export function findDuplicateKey(validJson: string): string | null {
  // One entry per open bracket: the keys seen so far, or null for an array.
  const open: (Set<string> | null)[] = [];
  let keyNext = false;
  for (let at = 0; at < validJson.length; at++) {
    switch (validJson.charCodeAt(at)) {
      case QUOTE: {
        const end = findClosingQuote(validJson, at);
        const keys = open.at(-1);
        if (keyNext && keys) {
          const key = decodeString(validJson.slice(at, end + 1));
          if (keys.has(key)) return key;
          keys.add(key);
          keyNext = false;
        }
        at = end;
        break;
      }
      case OPEN_OBJECT:
        open.push(new Set());
        keyNext = true;
        break;
      case OPEN_ARRAY:
        open.push(null);
        keyNext = false;
        break;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        open.pop();
        keyNext = false;
        break;
      case COMMA:
        keyNext = (open.at(-1) ?? null) !== null;
        break;
      default:
        break;
    }
  }
  return null;
}

/** Where the string that opens at `openAt` is closed; the end of the text where it is not. */
export function findClosingQuote(text: string, openAt: number): number {
  let at = openAt + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at;
}

function decodeString(quoted: string): string {
  return quoted.includes('\\') ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
}
