/**
 * What a generation needs besides its prompt, on either path.
 */
import type { Transformers } from '../../runtime/ort/transformers.ts';
import type { CachedDecoder } from '../sequences/cached-decoder.ts';
import type { TextBehind } from '../texts/token-decoder.ts';

/** See the file's header. */
export interface GeneratorParts {
  readonly transformers: Transformers;
  readonly decoder: CachedDecoder;
  /** config.json, as transformers.js takes it. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly vocabSize: number;
  /** Begins the text behind a prompt. */
  readonly openText: (promptIds: readonly number[]) => TextBehind;
}
