/**
 * Which small files of a repository serving needs: configs, tokenizer, chat templates, the model's own test.
 *
 * In: the files of a snapshot. Out: those that are read, in an order. All but config.json may be absent.
 */
import type { LoadPlan, TokenizerSource } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';

/** The names that files may have. */
export const TEXT_PATHS = {
  config: 'config.json',
  generationConfig: 'generation_config.json',
  tokenizerConfig: 'tokenizer_config.json',
  specialTokensMap: 'special_tokens_map.json',
  addedTokens: 'added_tokens.json',
  template: 'chat_template.jinja',
  processorTemplate: 'chat_template.json',
  fixture: 'firstlight-fixture.json',
} as const;

/** The files that hold the vocabulary, for each kind of tokenizer, best first. */
export const VOCABULARY_FILES: Readonly<Record<TokenizerSource, readonly string[]>> = {
  'tokenizer.json': ['tokenizer.json'],
  'tokenizer.model': ['tokenizer.model'],
  'vocab.json': ['vocab.json', 'merges.txt'],
};

/** Those that a server which lists nothing is asked for. It is not asked for a test: see `static-listing.ts`. */
export const USUAL_TEXTS: readonly string[] = [
  TEXT_PATHS.config,
  TEXT_PATHS.generationConfig,
  'tokenizer.json',
  TEXT_PATHS.tokenizerConfig,
  TEXT_PATHS.specialTokensMap,
  TEXT_PATHS.addedTokens,
  TEXT_PATHS.template,
  TEXT_PATHS.processorTemplate,
  'additional_chat_templates/tool_use.jinja',
];

/** `additional_chat_templates/NAME.jinja`, not deeper. */
const ADDITIONAL_TEMPLATE = /^additional_chat_templates\/(?<name>[^/]+)\.jinja$/u;

/** The name of a template that has a file of its own, null for any other path. */
export function templateName(path: string): string | null {
  return ADDITIONAL_TEMPLATE.exec(path)?.groups?.['name'] ?? null;
}

/** The best kind of tokenizer of which a repository has all files, by their names; null where there is none. */
export function findVocabulary({ files }: Pick<Snapshot, 'files'>): TokenizerSource | null {
  const paths = new Set(files.map(({ path }) => path));
  const kinds = Object.keys(VOCABULARY_FILES) as TokenizerSource[];
  return kinds.find((kind) => VOCABULARY_FILES[kind].every((path) => paths.has(path))) ?? null;
}

/** Those of the files that the snapshot has and the plan needs: to be downloaded together with the weights. */
export function listTextFiles(
  { files }: Pick<Snapshot, 'files'>,
  { tokenizer }: Pick<LoadPlan, 'tokenizer'>,
): string[] {
  const { config, generationConfig, fixture, ...ofTokenizer } = TEXT_PATHS;
  const always = [config, generationConfig, fixture];
  const more = tokenizer === null ? [] : [...VOCABULARY_FILES[tokenizer], ...Object.values(ofTokenizer)];
  const fixed = new Set<string>([...always, ...more]);
  return files
    .map(({ path }) => path)
    .filter((path) => fixed.has(path) || (tokenizer !== null && templateName(path) !== null));
}
