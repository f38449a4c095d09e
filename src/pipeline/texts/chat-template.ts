/**
 * A conversation → the text that the model's chat template makes of it.
 *
 * In: messages, tools. Out: text. Guarantees: line ends and white space as jinja2 reads them; a conversation that cannot be is
 * refused in words before the template sees it; what the template itself refuses, and what cannot be rendered here, are told
 * apart. The template engine is transformers.js's own, repaired where it is known to differ: see `template-repairs.ts`.
 */
import type { PreTrainedTokenizer } from '@huggingface/transformers';
import { LoadError } from '../../contract/errors.ts';
import type { ChatMessage, ChatOptions } from '../../contract/generate.ts';
import { isJsonObject } from '../../formats/tokenizer/json-object.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import { REPAIR_FUNCTIONS, repairTemplate, TemplateRefusal } from './template-repairs.ts';

/** Stands behind what a last message says so far, to be found again in the text; transformers does the same. */
const END_OF_LAST = 'CONTINUE_FINAL_MESSAGE_TAG ';

/** @throws LoadError `invalid_argument`, `chat_template_failed` */
export function renderChat(
  tokenizer: PreTrainedTokenizer,
  messages: readonly ChatMessage[],
  { tools, continue_final_message: goesOn = false }: ChatOptions,
): string {
  const checked = messages.map(checkMessage);
  if (!goesOn) return render(tokenizer, checked, tools, true);
  const { last, rest } = splitLast(checked);
  const rendered = render(tokenizer, [...rest, { ...last, content: last.content + END_OF_LAST }], tools, false);
  return cutBehindLast(rendered, last.content);
}

/** A sentence that says why no conversation can be rendered here, known before there is one; null where one may be. */
export function findTemplateProblem(tokenizer: PreTrainedTokenizer): string | null {
  try {
    compile(tokenizer, false);
    return null;
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    return `The chat template cannot be read here (${what}): conversations will be refused; texts and token ids are taken.`;
  }
}

/** A message as templates get it. */
interface PlainMessage extends JsonObject {
  readonly content?: string;
}

/** Text parts are joined; keys whose value is null are left out, which templates handle better than null (so does transformers). */
function checkMessage(message: unknown, index: number): PlainMessage {
  if (!isJsonObject(message) || typeof message['role'] !== 'string') {
    throw refuse(`Message ${index} of the conversation is no object with a role.`, { index });
  }
  const { content, ...others } = message;
  const given = nameThoughts(
    Object.fromEntries(Object.entries(others).filter(([, value]) => value !== null && value !== undefined)),
  );
  if (content === null || content === undefined) {
    if (given['tool_calls'] !== undefined || given['reasoning_content'] !== undefined) return given;
    throw refuse(`Message ${index} of the conversation has no content.`, { index });
  }
  return { ...given, content: typeof content === 'string' ? content : joinParts(content, index) };
}

/** Names under which APIs give what a model thought before it answered; templates read the first, some the second. */
const THOUGHTS = ['reasoning_content', 'thinking', 'reasoning'];

/** As transformers does: whichever name was used, templates find it. */
function nameThoughts(message: JsonObject): JsonObject {
  const thoughts = THOUGHTS.map((name) => message[name]).find((value) => value !== undefined);
  return thoughts === undefined ? message : { thinking: thoughts, ...message, reasoning_content: thoughts };
}

function joinParts(content: unknown, index: number): string {
  if (!Array.isArray(content)) {
    throw refuse(`The content of message ${index} must be a text or a list of parts.`, { index });
  }
  return content
    .map((part: unknown) => {
      if (typeof part === 'string') return part;
      const { type, text } = isJsonObject(part) ? part : {};
      if (type === 'text' && typeof text === 'string') return text;
      throw refuse(
        `Message ${index} has a part of the kind "${typeof type === 'string' ? type : 'unknown'}": this model takes text only.`,
        { index, type },
      );
    })
    .join('');
}

function splitLast(messages: readonly PlainMessage[]): {
  readonly last: PlainMessage & { readonly content: string };
  readonly rest: readonly PlainMessage[];
} {
  const last = messages.at(-1);
  if (last?.content === undefined) {
    throw refuse('continue_final_message needs a last message with content to go on with.');
  }
  return { last: { ...last, content: last.content }, rest: messages.slice(0, -1) };
}

/** What follows the last message closes it, and goes. A template that trims messages has trimmed the mark's space too. */
function cutBehindLast(rendered: string, content: string): string {
  const mark = END_OF_LAST.trimEnd();
  const end = rendered.lastIndexOf(mark);
  if (end < 0 || !rendered.includes(content.trim())) {
    throw refuse('continue_final_message cannot be done: the chat template changes or leaves out the last message.');
  }
  return rendered.startsWith(END_OF_LAST, end) ? rendered.slice(0, end) : rendered.slice(0, end).trimEnd();
}

function render(
  tokenizer: PreTrainedTokenizer,
  messages: readonly PlainMessage[],
  tools: ChatOptions['tools'],
  addGenerationPrompt: boolean,
): string {
  if (tools !== undefined && !(Array.isArray(tools) && tools.every(isJsonObject))) {
    throw refuse('tools must be a list of JSON schemas.');
  }
  try {
    const source = compile(tokenizer, tools !== undefined);
    // Its types know only messages with content.
    const conversation = messages as unknown as Parameters<PreTrainedTokenizer['apply_chat_template']>[0];
    const rendered: unknown = tokenizer.apply_chat_template(conversation, {
      chat_template: source,
      tools: tools ? [...tools] : null,
      add_generation_prompt: addGenerationPrompt,
      tokenize: false,
      ...REPAIR_FUNCTIONS,
    });
    return String(rendered);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    if (error instanceof TemplateRefusal) throw refuse(`The chat template refused the conversation: ${what}`);
    throw new LoadError('chat_template_failed', {
      message: `The template engine said: ${what}`,
      stage: 'serve',
      detail: { reason: what },
      cause: error,
    });
  }
}

/** A template of the engine; `parsed` is its syntax tree. */
interface Template {
  readonly parsed: unknown;
}

/**
 * Makes the template ready and yields its source. transformers.js keeps templates that it has parsed by their source, and takes
 * them from there: ours are put there, repaired.
 */
function compile(tokenizer: PreTrainedTokenizer, hasTools: boolean): string {
  const compiled = tokenizer._compiled_template_cache as Map<string, Template>;
  // jinja2 reads every line end as \n, also in texts within the template.
  const source = tokenizer.get_chat_template(hasTools ? { tools: [] } : {}).replace(/\r\n?/gu, '\n');
  if (compiled.has(source)) return source;
  tokenizer.apply_chat_template([], { chat_template: '', tokenize: false });
  const Engine = compiled.get('')?.constructor as new (source: string) => Template;
  const template = new Engine(source);
  repairTemplate(template.parsed);
  compiled.set(source, template);
  return source;
}

function refuse(message: string, detail: JsonObject = {}): LoadError {
  return new LoadError('invalid_argument', { message, stage: 'serve', detail });
}
