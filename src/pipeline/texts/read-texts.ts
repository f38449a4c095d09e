/**
 * Reads what serving needs of a repository besides weights.
 *
 * In: a repository, and what its tokenizer is made from. Out: configs, a tokenizer that is complete, and the chat templates that
 * count. Guarantees: nothing is read that is larger than any real file of its kind.
 */
import { ERROR_SENTENCES, isLoadError, LoadError } from '../../contract/errors.ts';
import type { TokenizerSource } from '../../contract/plan.ts';
import { completeTokenizer } from '../../formats/tokenizer/added-tokens.ts';
import { chooseChatTemplates } from '../../formats/tokenizer/chat-templates.ts';
import type { ChatTemplates } from '../../formats/tokenizer/chat-templates.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import type { TokenizerParts } from '../serve/text-tokenizer.ts';
import { parseFixture } from '../warm-up/fixture.ts';
import type { Fixture } from '../warm-up/fixture.ts';
import { readBytes, readJson, readText, TEXT_KINDS } from './read-file.ts';
import type { TextSource } from './read-file.ts';
import { templateName, TEXT_PATHS } from './text-files.ts';

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
    tokenizerSource === null ? null : readTokenizer(source, signal),
  ]);
  return { config: config ?? {}, generationConfig, tokenizer, notices };
}

/** The model's own test, where it brings one. @throws LoadError `config_invalid`, and what reading throws */
export async function readFixture(source: TextSource, vocabSize: number, signal: AbortSignal): Promise<Fixture | null> {
  const bytes = await readBytes(source, TEXT_PATHS.fixture, TEXT_KINDS.fixture, signal);
  return bytes === null ? null : parseFixture(bytes, vocabSize);
}

async function readTokenizer(source: TextSource, signal: AbortSignal): Promise<TokenizerParts> {
  const readConfig = (path: string): Promise<JsonObject | null> =>
    readJson(source, path, TEXT_KINDS.tokenizerConfig, signal);
  const [tokenizer, config, specialTokensMap, addedTokens] = await Promise.all([
    readVocabulary(source, signal),
    readConfig(TEXT_PATHS.tokenizerConfig),
    readConfig(TEXT_PATHS.specialTokensMap),
    readConfig(TEXT_PATHS.addedTokens),
  ]);
  const chatTemplates = await readChatTemplates(source, config, signal);
  return explain(() => ({ ...completeTokenizer({ tokenizer, config, specialTokensMap, addedTokens }), chatTemplates }));
}

async function readVocabulary(source: TextSource, signal: AbortSignal): Promise<JsonObject> {
  const tokenizer = await readJson(source, 'tokenizer.json', TEXT_KINDS.vocabulary, signal);
  return tokenizer ?? {};
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

/** The formats know no stages and codes. */
function explain<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw new LoadError('tokenizer_invalid', { message: what, cause: error });
  }
}
