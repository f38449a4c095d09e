/**
 * Conversations rendered against transformers and jinja2 (test/fixtures/chat-templates.json).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as transformers from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { isLoadError } from '../../../src/contract/errors.ts';
import type { ChatMessage, ChatOptions } from '../../../src/contract/generate.ts';
import { TextTokenizer } from '../../../src/pipeline/texts/text-tokenizer.ts';
import { renderChat } from '../../../src/pipeline/texts/chat-template.ts';
import { isAbsent, sharedData } from '../../shared-data.ts';

interface Conversation extends ChatOptions {
  readonly messages: readonly ChatMessage[];
}

/** What transformers made of it, or the class of its error. */
interface Rendered {
  readonly text?: string;
  readonly error?: string;
}

interface Recorded {
  readonly now: string;
  readonly conversations: Readonly<Record<string, Conversation>>;
  readonly ownConversation: Conversation;
  readonly own: Readonly<Record<string, Rendered & { readonly template: string }>>;
  readonly real: Readonly<Record<string, Readonly<Record<string, Digest>>>>;
}

interface Digest {
  readonly bytes?: number;
  readonly sha256?: string;
  readonly error?: string;
}

const ROOT = new URL('../../../', import.meta.url);
const recorded = JSON.parse(readFileSync(new URL('test/fixtures/chat-templates.json', ROOT), 'utf8')) as Recorded;
const TEMPLATES = sharedData('chat-templates/');

/** A tokenizer that has a template, and little else. */
function withTemplate(template: string | Record<string, string>): transformers.PreTrainedTokenizer {
  const parts = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };
  const model = { type: 'BPE', vocab: { a: 0 }, merges: [] };
  const config = { bos_token: '<s>', eos_token: '</s>', chat_template: template };
  return new transformers.PreTrainedTokenizer({ ...parts, model }, config);
}

function render(template: string, { messages, ...options }: Conversation): string | { readonly code: string } {
  try {
    return renderChat(withTemplate(template), messages, options);
  } catch (error) {
    if (isLoadError(error)) return { code: error.code };
    throw error;
  }
}

beforeAll(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
  vi.setSystemTime(new Date(recorded.now));
});
afterAll(() => vi.useRealTimers());

describe('a template of a few words gives what jinja2 makes of it', () => {
  it.each(Object.entries(recorded.own))('%s', (_name, { template, text, error }) => {
    expect(render(template, recorded.ownConversation)).toEqual(
      error === undefined ? text : { code: 'invalid_argument' },
    );
  });
});

type Difference = 'no text' | 'other text';

const everywhere = (difference: Difference): Readonly<Record<string, Difference>> =>
  Object.fromEntries(Object.keys(recorded.conversations).map((name) => [name, difference]));
const withTools = (difference: Difference): Readonly<Record<string, Difference>> => ({
  tools: difference,
  'a tool was called': difference,
});

/** What @huggingface/jinja 0.5.11 does otherwise than jinja2, and we leave as it is. 'no text' is an error that says why. */
const KNOWN_DIFFERENCES: Readonly<Record<string, Readonly<Record<string, Difference>>>> = {
  // The filter `string` of an object is not known.
  'Apriel-1.6-15b-Thinker-fixed.jinja': withTools('no text'),
  'unsloth-Apriel-1.5.jinja': withTools('no text'),
  // Numbers as keys of an object are not known.
  'ByteDance-Seed-OSS.jinja': everywhere('no text'),
  // `none | selectattr` is an error, and what `tojson` gives is not escaped by `e`.
  'meetkai-functionary-medium-v3.1.jinja': { ...everywhere('no text'), ...withTools('other text') },
  // Tuples cannot be taken apart.
  'meetkai-functionary-medium-v3.2.jinja': { tools: 'no text' },
  // jinja2 cannot write a generator as JSON; the engine has a list there.
  'llama-cpp-deepseek-r1.jinja': withTools('other text'),
};

describe('real templates, with tools and system messages, give what transformers makes of them', () => {
  it.skipIf(isAbsent(TEMPLATES)).each(Object.entries(recorded.real))('%s', (file, digests) => {
    const template = readFileSync(new URL(file, TEMPLATES), 'utf8');
    for (const [name, expected] of Object.entries(digests)) {
      const rendered = render(template, recorded.conversations[name] as Conversation);
      const known = KNOWN_DIFFERENCES[file]?.[name];
      if (known === 'other text') {
        expect(typeof rendered, name).toBe('string');
        expect(digestOf(rendered)).not.toEqual(expected);
      } else if (known === 'no text' || (expected.error !== undefined && expected.error !== 'TemplateError')) {
        expect(rendered, name).toEqual({ code: 'chat_template_failed' });
      } else {
        // What a template refuses by itself (raise_exception) is the caller's to mend.
        expect(digestOf(rendered), name).toEqual(
          expected.error === undefined ? expected : { code: 'invalid_argument' },
        );
      }
    }
  });
});

function digestOf(text: string | { readonly code: string }): Digest | { readonly code: string } {
  if (typeof text !== 'string') return text;
  const bytes = new TextEncoder().encode(text);
  return { bytes: bytes.byteLength, sha256: createHash('sha256').update(bytes).digest('hex').slice(0, 16) };
}

describe('a conversation', () => {
  const TEMPLATE =
    '{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}';
  const given = (...messages: unknown[]) => ({ messages: messages as ChatMessage[] });

  it('may have contents in parts: their text is joined', () => {
    const parts = [
      { type: 'text', text: 'a ' },
      { type: 'text', text: 'b' },
    ];
    expect(render(TEMPLATE, given({ role: 'user', content: parts }))).toBe('<user>a b</><assistant>');
  });

  it.each([
    [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'image_url', image_url: {} },
        ],
      },
      /part of the kind "image_url"/u,
    ],
    [{ role: 'user', content: [{ type: 'text' }] }, /part of the kind "text"/u],
    [{ role: 'user', content: 7 }, /content of message 0 must be/u],
    [{ role: 'user' }, /Message 0 .* has no content/u],
    [{ content: 'a' }, /Message 0 .* no object with a role/u],
    ['hello', /Message 0 .* no object with a role/u],
  ])('is refused in words where it is none: %j', (message, words) => {
    expect(() => renderChat(withTemplate(TEMPLATE), [message as ChatMessage], {})).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringMatching(words) as string }),
    );
  });

  it('may call tools without content; null is as good as nothing', () => {
    const message = { role: 'assistant', content: null, tool_calls: [{ name: 'f' }], name: null };
    const template = '{% for m in messages %}{{ m.tool_calls[0].name }}{{ m.name is defined }}{% endfor %}';
    expect(render(template, given(message))).toMatch(/^fFalse/iu);
  });

  it.each([
    [TEMPLATE, 'The answer is ', '<user>?</><assistant>The answer is '],
    ['{% for m in messages %}{{ m.content | trim }}|{% endfor %}', ' The answer is ', '?|The answer is'],
  ])('can be gone on with: its last message stays open', (template, content, expected) => {
    const messages = [
      { role: 'user', content: '?' },
      { role: 'assistant', content },
    ];
    expect(render(template, { messages, continue_final_message: true })).toBe(expected);
  });

  it('cannot be gone on with where the template leaves the message out', () => {
    const messages = [{ role: 'assistant', content: 'x' }];
    expect(render('always', { messages, continue_final_message: true })).toEqual({ code: 'invalid_argument' });
  });

  it('takes the template for tools where tools are given', () => {
    const tokenizer = withTemplate({ default: 'plain', tool_use: '{{ tools[0].name }}' });
    const messages = [{ role: 'user', content: '?' }];
    expect(renderChat(tokenizer, messages, {})).toBe('plain');
    expect(renderChat(tokenizer, messages, { tools: [{ name: 'f' }] })).toBe('f');
    expect(() => renderChat(tokenizer, messages, { tools: 'f' as never })).toThrow(/tools must be a list/u);
  });

  it.each(['{% if %}', '{{ 1 | nothing }}', '{{ messages.nothing() }}', '{% include "x" %}'])(
    'of a template that cannot be rendered here fails with chat_template_failed: %s',
    (template) => {
      expect(render(template, given({ role: 'user', content: '?' }))).toEqual({ code: 'chat_template_failed' });
    },
  );
});

describe('a prompt', () => {
  const parts = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };
  const model = { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] };
  const tokenizer = new TextTokenizer(transformers, {
    tokenizer: { ...parts, model },
    config: {},
    chatTemplates: '{% for m in messages %}{{ m.content }}{% endfor %}',
  });

  it('is a text, messages, or ids', () => {
    expect(tokenizer.encodePrompt('ab', 2)).toEqual([0, 1]);
    expect(tokenizer.encodePrompt([{ role: 'user', content: 'ba' }], 2)).toEqual([1, 0]);
    expect(tokenizer.encodePrompt([1, 1], 2)).toEqual([1, 1]);
  });

  it('leaves out characters that the vocabulary cannot write', () => {
    expect(tokenizer.encodePrompt('a?b', 2)).toEqual([0, 1]);
  });

  it.each([
    [[], {}, /The prompt is empty: pass a text, at least one message, or at least one token id/u],
    ['', {}, /no tokens/u],
    ['?', {}, /no tokens/u],
    [[2], {}, /id 2 is not in the model's vocabulary of 2/u],
    [[-1], {}, /-1 is no token id/u],
    [{ role: 'user' }, {}, /a text, a list of messages, or a list of token ids/u],
    ['a', { continue_final_message: true }, /continue_final_message goes with a conversation/u],
    [[0], { tools: [] }, /tools goes with a conversation/u],
  ])('is refused in words where it is none: %j %j', (prompt, options, words) => {
    expect(() => tokenizer.encodePrompt(prompt as never, 2, options)).toThrow(
      expect.objectContaining({ code: 'invalid_argument', message: expect.stringMatching(words) as string }),
    );
  });

  it('of a template that cannot be read is named beforehand', () => {
    const open = (chatTemplates: string | null): string | null =>
      new TextTokenizer(transformers, { tokenizer: { ...parts, model }, config: {}, chatTemplates }).templateProblem;
    expect(open('{% if %}')).toMatch(/^The chat template cannot be read here \(.+\): conversations will be refused/u);
    expect(open('{{ raise_exception("never") }}')).toBeNull();
    expect(open(null)).toBeNull();
  });

  it('of a model without a template is no conversation', () => {
    const plain = new TextTokenizer(transformers, { tokenizer: { ...parts, model }, config: {}, chatTemplates: null });
    expect(() => plain.encodePrompt([{ role: 'user', content: 'a' }], 2)).toThrow(/no chat template/u);
  });
});
