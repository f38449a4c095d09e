/**
 * Repositories of texts, in memory, and what was recorded of them in Python.
 */
import { readFileSync } from 'node:fs';
import * as transformers from '@huggingface/transformers';
import type { TextSource } from '../../../src/pipeline/texts/read-file.ts';
import { readTexts } from '../../../src/pipeline/texts/read-texts.ts';
import { TextTokenizer } from '../../../src/pipeline/texts/text-tokenizer.ts';

/** Path → text, or bytes. */
export type Files = Readonly<Record<string, string | Uint8Array>>;

/** A small tokenizer that the recorded repositories share. */
export const BASE = (readRecorded('added-tokens.json') as { readonly base: Files }).base;

/** A file of test/fixtures/tokenizers. */
export function readRecorded(name: string): unknown {
  const url = new URL(`../../fixtures/tokenizers/${name}`, import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8'));
}

/** A source with these files; `read` collects the paths that were asked for. */
export function makeSource(files: Files, read: string[] = []): TextSource {
  const bytesOf = (path: string): Uint8Array<ArrayBuffer> => {
    const content = files[path] ?? '';
    return typeof content === 'string' ? new TextEncoder().encode(content) : Uint8Array.from(content);
  };
  return {
    snapshot: {
      files: Object.keys(files).map((path) => ({
        path,
        sizeBytes: bytesOf(path).byteLength,
        hash: null,
        url: `https://example.test/${path}`,
      })),
    },
    files: {
      readAll: async (path) => {
        read.push(path);
        return bytesOf(path);
      },
    },
  };
}

/** The tokenizer that a load would make of these files. */
export async function loadTokenizer(files: Files): Promise<TextTokenizer> {
  const { tokenizer } = await readTexts(makeSource(files), 'tokenizer.json', new AbortController().signal);
  return new TextTokenizer(transformers, tokenizer);
}
