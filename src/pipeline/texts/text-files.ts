/**
 * Which small files of a repository serving needs: configs, tokenizer, chat templates, the model's own test.
 *
 * In: the files of a snapshot. Out: those that are read, in an order. All but config.json may be absent.
 */
import type { Snapshot } from '../../contract/snapshot.ts';
import { FIXTURE_PATH } from '../warm-up/fixture.ts';

/** The names that files may have. */
export const TEXT_PATHS = {
  config: 'config.json',
  generationConfig: 'generation_config.json',
  tokenizer: 'tokenizer.json',
  tokenizerConfig: 'tokenizer_config.json',
  specialTokensMap: 'special_tokens_map.json',
  addedTokens: 'added_tokens.json',
  template: 'chat_template.jinja',
  processorTemplate: 'chat_template.json',
  fixture: FIXTURE_PATH,
} as const;

/** Those that a server which lists nothing is asked for. It is not asked for a test: see `static-listing.ts`. */
export const USUAL_TEXTS: readonly string[] = [
  TEXT_PATHS.config,
  TEXT_PATHS.generationConfig,
  TEXT_PATHS.tokenizer,
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

/** Those of the files that the snapshot has: to be downloaded together with the weights. */
export function listTextFiles({ files }: Pick<Snapshot, 'files'>): string[] {
  const fixed = new Set<string>(Object.values(TEXT_PATHS));
  return files.map(({ path }) => path).filter((path) => fixed.has(path) || templateName(path) !== null);
}
