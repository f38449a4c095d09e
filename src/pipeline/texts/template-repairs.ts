/**
 * Where the template engine of transformers.js (@huggingface/jinja 0.5.11) differs from jinja2, as seen on real templates.
 *
 * In: a parsed template. Out: the same tree, changed so that
 *  - methods of texts that the engine does not have, or whose arguments it ignores (`lstrip('\n')` strips spaces too), call
 *    functions of ours;
 *  - `trim` takes what is undefined as an empty text, and `min` and `max` are there;
 *  - what is true, false or none is shown as Python writes it;
 *  - `raise_exception` throws a {@link TemplateRefusal}, which can be told from a failure of the engine.
 * A repair can go once the engine does it: test/unit/serve/chat-templates.test.ts compares with jinja2.
 */
import { isJsonObject } from '../../formats/tokenizer/json-object.ts';

/** The template says that it was not made for such a conversation. */
export class TemplateRefusal extends Error {}

/** A node of the engine's syntax tree. */
interface Node extends Record<string, unknown> {
  type: string;
}

const PREFIX = 'firstlight_';

/** Methods of Python's `str`: the text, then the arguments. */
const TEXT_METHODS: Readonly<Record<string, (text: string, ...given: readonly unknown[]) => unknown>> = {
  strip: (text, characters) => strip(text, characters, true, true),
  lstrip: (text, characters) => strip(text, characters, true, false),
  rstrip: (text, characters) => strip(text, characters, false, true),
  removeprefix: (text, prefix) => (text.startsWith(String(prefix)) ? text.slice(String(prefix).length) : text),
  removesuffix: (text, suffix) =>
    text.endsWith(String(suffix)) ? text.slice(0, text.length - String(suffix).length) : text,
  join: (text, items) => listItems(items).join(text),
  format: (text, ...given) => format(text, given),
};

/** Filters without arguments that the engine does not have. */
const FILTERS: Readonly<Record<string, (items: unknown) => unknown>> = {
  min: (items) => listNumbers(items).reduce((least, one) => Math.min(least, one)),
  max: (items) => listNumbers(items).reduce((most, one) => Math.max(most, one)),
};

/** What the repaired template calls, by name. */
export const REPAIR_FUNCTIONS: Readonly<Record<string, (...given: never[]) => unknown>> = {
  ...Object.fromEntries(
    Object.entries({ ...TEXT_METHODS, ...FILTERS }).map(([name, method]) => [PREFIX + name, method]),
  ),
  [`${PREFIX}raise_exception`]: (message: unknown): never => {
    throw new TemplateRefusal(String(message));
  },
};

/** Where nodes keep what they show. */
const BLOCKS = ['body', 'alternate', 'defaultBlock'];

/** Changes the tree in place. */
export function repairTemplate(tree: unknown): void {
  if (tree instanceof Map) {
    for (const [key, value] of tree) [key, value].forEach(repairTemplate);
  } else if (Array.isArray(tree)) {
    tree.forEach(repairTemplate);
  } else if (isNode(tree)) {
    Object.values(tree).forEach(repairTemplate);
    if (tree.type === 'CallExpression') repairCall(tree);
    if (tree.type === 'FilterExpression') repairFilter(tree);
    for (const key of BLOCKS) {
      const block = tree[key];
      if (Array.isArray(block)) tree[key] = block.map(repairShown);
    }
  }
}

function repairCall(call: Node): void {
  const { callee, args } = call;
  if (!isNode(callee)) return;
  if (callee.type === 'Identifier' && callee['value'] === 'raise_exception') {
    callee['value'] = `${PREFIX}raise_exception`;
    return;
  }
  const { object, property, computed } = callee;
  if (callee.type !== 'MemberExpression' || computed === true || !isNode(property) || !Array.isArray(args)) return;
  const name = String(property['value']);
  if (args.length === 0 || !Object.hasOwn(TEXT_METHODS, name)) return;
  call['callee'] = identifier(PREFIX + name);
  call['args'] = [object, ...(args as unknown[])];
}

function repairFilter(expression: Node): void {
  const { filter, operand } = expression;
  if (!isNode(filter) || filter.type !== 'Identifier') return;
  const name = String(filter['value']);
  if (name === 'trim') {
    const orEmpty = { type: 'CallExpression', callee: identifier('default'), args: [text('')] };
    expression['operand'] = { type: 'FilterExpression', operand, filter: orEmpty };
  } else if (Object.hasOwn(FILTERS, name)) {
    Object.assign(expression, { type: 'CallExpression', callee: identifier(PREFIX + name), args: [operand] });
  }
}

/** `True`, `False` and `None` where what is shown may be one of them. Calls and filters give texts, and may be costly to repeat. */
function repairShown(shown: unknown): unknown {
  if (!isNode(shown) || (shown.type !== 'Identifier' && shown.type !== 'MemberExpression')) return shown;
  const choose = (condition: Node, trueExpr: Node, falseExpr: Node): Node => ({
    type: 'Ternary',
    condition,
    trueExpr,
    falseExpr,
  });
  const is = (test: string): Node => ({
    type: 'TestExpression',
    operand: shown,
    negate: false,
    test: identifier(test),
  });
  return choose(is('boolean'), choose(shown, text('True'), text('False')), choose(is('none'), text('None'), shown));
}

function text(value: string): Node {
  return { type: 'StringLiteral', value };
}

function identifier(value: string): Node {
  return { type: 'Identifier', value };
}

function isNode(value: unknown): value is Node {
  return isJsonObject(value) && typeof value['type'] === 'string';
}

function strip(text: string, characters: unknown, atStart: boolean, atEnd: boolean): string {
  if (typeof characters !== 'string') {
    const begun = atStart ? text.trimStart() : text;
    return atEnd ? begun.trimEnd() : begun;
  }
  const set = new Set(characters);
  const all = Array.from(text);
  let start = 0;
  let end = all.length;
  while (atStart && start < end && set.has(all[start] ?? '')) start++;
  while (atEnd && end > start && set.has(all[end - 1] ?? '')) end--;
  return all.slice(start, end).join('');
}

/** The engine gives our functions plain texts and numbers, but lists of its own values. */
function listItems(items: unknown): readonly string[] {
  if (typeof items === 'string') return Array.from(items);
  if (!Array.isArray(items)) throw new Error('join() takes a list of texts');
  return items.map((item: unknown) => String(isJsonObject(item) ? item['value'] : item));
}

function listNumbers(items: unknown): readonly number[] {
  const numbers = Array.isArray(items) ? items.map((item: unknown) => (isJsonObject(item) ? item['value'] : item)) : [];
  if (numbers.length > 0 && numbers.every((one) => typeof one === 'number')) return numbers;
  throw new Error('min and max take a list of numbers here');
}

/** Fields without a format: `{}`, `{0}`, `{name}`; `{{` and `}}` are braces. */
function format(text: string, given: readonly unknown[]): string {
  const named: unknown = given.at(-1) instanceof Map ? given.at(-1) : new Map();
  let next = 0;
  return text.replace(/\{\{|\}\}|\{([^{}]*)\}/gu, (whole, field: string | undefined) => {
    if (field === undefined) return whole.charAt(0);
    const key = field === '' ? String(next++) : field;
    const value: unknown = /^\d+$/u.test(key) ? given[Number(key)] : (named as Map<string, unknown>).get(key);
    const plain = isJsonObject(value) ? value['value'] : value;
    if (typeof plain === 'string' || typeof plain === 'number') return String(plain);
    throw new Error(`format() cannot fill in {${field}} here`);
  });
}
