/**
 * Which chat template a repository means, where several of its files hold one.
 *
 * In: the template files as text, and what the JSON files say. Out: one template, several by name, or none. The order is that
 * of transformers 5: `chat_template.jinja` and `additional_chat_templates/NAME.jinja` come before `chat_template` in
 * tokenizer_config.json (`PreTrainedTokenizerBase._from_pretrained`). Where none of these exists, the `chat_template.json` of
 * older multimodal repositories is taken, which transformers reads for a processor only (`ProcessorMixin`).
 */
import { isJsonObject } from './json-object.ts';

/** One template, or several by name: `default`, and `tool_use` for calls that offer tools. */
export type ChatTemplates = string | Readonly<Record<string, string>>;

/** What a repository has; null for what it lacks. */
export interface TemplateSources {
  /** chat_template.jinja. */
  readonly main: string | null;
  /** additional_chat_templates/NAME.jinja, by NAME. */
  readonly additional: ReadonlyMap<string, string>;
  /** `chat_template` of tokenizer_config.json, unchecked. */
  readonly inConfig: unknown;
  /** `chat_template` of chat_template.json, unchecked. */
  readonly inProcessor: unknown;
}

/** @throws Error where the template that counts has no readable form */
export function chooseChatTemplates({
  main,
  additional,
  inConfig,
  inProcessor,
}: TemplateSources): ChatTemplates | null {
  const files = new Map([...(main === null ? [] : [['default', main] as const]), ...additional]);
  if (files.size === 0) {
    return readTemplates(inConfig, 'tokenizer_config.json') ?? readTemplates(inProcessor, 'chat_template.json');
  }
  return flatten(files);
}

/** A template, a list of `{name, template}`, or an object from names to templates. */
function readTemplates(value: unknown, file: string): ChatTemplates | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'string') return value;
  const named: [unknown, unknown][] = Array.isArray(value)
    ? value.map((item: unknown) => (isJsonObject(item) ? [item['name'], item['template']] : [undefined, undefined]))
    : isJsonObject(value)
      ? Object.entries(value)
      : [[undefined, undefined]];
  const isPair = (pair: [unknown, unknown]): pair is [string, string] => pair.every((part) => typeof part === 'string');
  if (named.every(isPair)) return named.length === 0 ? null : Object.fromEntries(named);
  throw new Error(
    `chat_template in ${file} is neither a template, nor a list of {name, template}, nor templates by name.`,
  );
}

function flatten(templates: ReadonlyMap<string, string>): ChatTemplates {
  const only = templates.size === 1 ? templates.get('default') : undefined;
  return only ?? Object.fromEntries(templates);
}
