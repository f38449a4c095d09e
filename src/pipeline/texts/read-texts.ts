/**
 * Reads what serving needs of a repository besides weights.
 *
 * In: a repository, and what its tokenizer is made from. Out: configs, a tokenizer that is complete, and the chat templates that
 * count. Guarantees: nothing is read that is larger than any real file of its kind.
 */
import { ERROR_SENTENCES, isLoadError } from '../../contract/errors.ts';
import type { TokenizerSource } from '../../contract/plan.ts';
import { completeTokenizer } from '../../formats/tokenizer/added-tokens.ts';
import { chooseChatTemplates } from '../../formats/tokenizer/chat-templates.ts';
import type { ChatTemplates } from '../../formats/tokenizer/chat-templates.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import { makeTemplate } from '../../formats/tokenizer/template-processing.ts';
import type { TokenizerParts } from './text-tokenizer.ts';
import { parseFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { explain, readBytes, readJson, readText, TEXT_KINDS } from './read-file.ts';
import type { TextSource } from './read-file.ts';
import { readVocabulary } from './read-vocabulary.ts';
import { templateName, TEXT_PATHS } from '../../formats/repository/text-files.ts';

/** See the file's header. */
export interface Texts {
  readonly config: JsonObject;
  /** Null also where it is damaged: nothing in it is needed, and a notice names it. */
  readonly generationConfig: JsonObject | null;
  /** Null for a model that takes token ids only. */
  readonly tokenizer: TokenizerParts | null;
  /** Sentences on files that could not be used. */
  readonly notices: readonly string[];
}

/** @throws LoadError `config_invalid`, `tokenizer_invalid`, `lfs_pointer`, and what reading throws */
export async function readTexts(
  source: TextSource,
  tokenizerSource: TokenizerSource | null,
  signal: AbortSignal,
): Promise<Texts> {
  const notices: string[] = [];
  const [config, generationConfig, tokenizer] = await Promise.all([
    readJson(source, TEXT_PATHS.config, TEXT_KINDS.config, signal),
    readJson(source, TEXT_PATHS.generationConfig, TEXT_KINDS.config, signal).catch((error: unknown) => {
      if (!isLoadError(error) || error.code !== TEXT_KINDS.config.code) throw error;
      notices.push(`${error.message.replace(`${ERROR_SENTENCES[error.code]} `, '')} It is left out.`);
      return null;
    }),
    tokenizerSource === null ? null : readTokenizer(source, tokenizerSource, signal),
  ]);
  return { config: config ?? {}, generationConfig, tokenizer, notices };
}

/** The model's own test, where it brings one. @throws LoadError `config_invalid`, and what reading throws */
export async function readFixture(source: TextSource, vocabSize: number, signal: AbortSignal): Promise<Fixture | null> {
  const bytes = await readBytes(source, TEXT_PATHS.fixture, TEXT_KINDS.fixture, signal);
  return bytes === null ? null : parseFixture(bytes, vocabSize);
}

async function readTokenizer(source: TextSource, kind: TokenizerSource, signal: AbortSignal): Promise<TokenizerParts> {
  const readConfig = (path: string): Promise<JsonObject | null> =>
    readJson(source, path, TEXT_KINDS.tokenizerConfig, signal);
  const reading = Promise.all([
    readConfig(TEXT_PATHS.tokenizerConfig),
    readConfig(TEXT_PATHS.specialTokensMap),
    readConfig(TEXT_PATHS.addedTokens),
  ]);
  const beside = reading.then(([config, , addedTokens]) => ({ config, addedTokens }));
  const [vocabulary, [config, specialTokensMap, addedTokens]] = await Promise.all([
    readVocabulary(source, kind, beside, signal),
    reading,
  ]);
  const chatTemplates = await readChatTemplates(source, config, signal);
  const parts = explain(() => completeTokenizer({ ...vocabulary, specialTokensMap, addedTokens }));
  const { isConverted, addedTokensAreRaw } = vocabulary;
  const tokenizer = addedTokensAreRaw ? matchRaw(parts.tokenizer) : parts.tokenizer;
  const around = isConverted ? { post_processor: makeTemplate(tokenizer, parts.config) } : {};
  return { tokenizer: { ...tokenizer, ...around }, config: parts.config, chatTemplates };
}

function matchRaw(tokenizer: JsonObject): JsonObject {
  const added = tokenizer['added_tokens'] as readonly JsonObject[]; // made by completeTokenizer
  return { ...tokenizer, added_tokens: added.map((token) => ({ ...token, normalized: false })) };
}

async function readChatTemplates(
  source: TextSource,
  config: JsonObject | null,
  signal: AbortSignal,
): Promise<ChatTemplates | null> {
  const readTemplate = (path: string): Promise<string | null> => readText(source, path, TEXT_KINDS.template, signal);
  const additional = await Promise.all(
    source.snapshot.files.flatMap(({ path }) => {
      const name = templateName(path);
      return name === null ? [] : [readTemplate(path).then((text) => [name, text ?? ''] as const)];
    }),
  );
  const [main, processor] = await Promise.all([
    readTemplate(TEXT_PATHS.template),
    readJson(source, TEXT_PATHS.processorTemplate, TEXT_KINDS.template, signal),
  ]);
  return explain(() =>
    chooseChatTemplates({
      main,
      additional: new Map(additional),
      inConfig: config?.['chat_template'],
      inProcessor: processor?.['chat_template'],
    }),
  );
}
