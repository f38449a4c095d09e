/**
 * The tokens that a tokenizer sets around every text, where tokenizer_config.json alone says so.
 *
 * In: a tokenizer that is complete, and its config. Out: a `TemplateProcessing` for tokenizer.json, or null. The rule is
 * `TokenizersBackend.update_post_processor` of transformers 5: nothing is set unless `add_bos_token` or `add_eos_token` asks for it.
 */
import { isJsonObject } from './json-object.ts';
import type { JsonObject } from './json-object.ts';

/** Both as {@link completeTokenizer} yields them: every special token is an added one. */
export function makeTemplate(tokenizer: JsonObject, config: JsonObject): JsonObject | null {
  const added = Array.isArray(tokenizer['added_tokens']) ? tokenizer['added_tokens'].filter(isJsonObject) : [];
  const find = (name: 'bos' | 'eos'): readonly JsonObject[] =>
    config[`add_${name}_token`] === true ? added.filter(({ content }) => content === config[`${name}_token`]) : [];
  const [before, after] = [find('bos'), find('eos')];
  if (before.length + after.length === 0) return null;
  const special = (tokens: readonly JsonObject[], typeId: number): readonly JsonObject[] =>
    tokens.map(({ content }) => ({ SpecialToken: { id: content, type_id: typeId } }));
  const around = (sequence: string, typeId: number): readonly JsonObject[] => [
    ...special(before, typeId),
    { Sequence: { id: sequence, type_id: typeId } },
    ...special(after, typeId),
  ];
  const tokens = [...before, ...after].map(({ content, id }) => [
    content,
    { id: content, ids: [id], tokens: [content] },
  ]);
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(tokens) as JsonObject,
  };
}
