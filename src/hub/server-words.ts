/**
 * What a server says of an error in its own words, made fit for a message.
 *
 * In: a response that is no success; its body is read, up to a limit. Out: a code and a sentence, null where there is none.
 * Guarantees: the sentence is one line of bounded length without characters that control how text is shown; a page of
 * HTML is no sentence.
 *
 * The hub uses the headers `X-Error-Code` and `X-Error-Message` and a JSON body with `error`; servers like it use
 * `error` as a list, `error_description` (OAuth), `errors: [{message}]`, `message`, or plain text.
 */
import { readText } from './read-body.ts';

const MAX_BODY_BYTES = 64 * 1024;
const MAX_LENGTH = 300;

/** What an answer says of itself. */
export interface ServerWords {
  readonly code: string | null;
  readonly message: string | null;
}

/** Reads headers and body. Never rejects. */
export async function readServerWords(response: Response): Promise<ServerWords> {
  const body = await readText(response, MAX_BODY_BYTES).catch(() => '');
  const spoken = [
    response.headers.get('X-Error-Message'),
    ...readBodyWords(body, response.headers.get('Content-Type')),
  ];
  const sentences = new Set(spoken.map((words) => toLine(words ?? '')).filter((line) => line !== ''));
  const message = [...sentences].join(' ');
  return { code: response.headers.get('X-Error-Code'), message: message === '' ? null : clip(message) };
}

/** `text` on one line: what moves the cursor, changes the direction of writing or is invisible becomes a space. */
export function toLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\s]+/gu, ' ').trim();
}

function clip(text: string): string {
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH - 1)}…`;
}

function readBodyWords(body: string, contentType: string | null): readonly string[] {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    const isPage = /html|xml/iu.test(contentType ?? '') || body.trimStart().startsWith('<');
    return isPage ? [] : [body];
  }
  if (typeof json !== 'object' || json === null) return [];
  const { error, error_description, errors, message } = json as Readonly<Record<string, unknown>>;
  return [error, error_description, errors, message].flatMap(listWords);
}

function listWords(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return (value as unknown[]).flatMap(listWords);
  if (typeof value !== 'object' || value === null) return [];
  const { message } = value as { readonly message?: unknown };
  return typeof message === 'string' ? [message] : [];
}
