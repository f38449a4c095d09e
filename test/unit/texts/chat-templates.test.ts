/**
 * Which chat template counts, where a repository has several.
 * Expected values: transformers' AutoTokenizer, and its ProcessorMixin for chat_template.json (references.record_tokenizers).
 */
import { describe, expect, it } from 'vitest';
import type { ChatTemplates } from '../../../src/formats/tokenizer/chat-templates.ts';
import { readTexts } from '../../../src/pipeline/texts/read-texts.ts';
import * as transformers from '@huggingface/transformers';
import type { Files } from './made-source.ts';
import { BASE, makeSource, readRecorded } from './made-source.ts';

interface Recorded {
  readonly cases: readonly {
    readonly name: string;
    readonly files: Files;
    readonly template: ChatTemplates | null;
    /** What a call takes, without tools and with; null where Python refuses the call. */
    readonly plain: string | null;
    readonly tools: string | null;
    readonly processor: ChatTemplates | null;
  }[];
}

const { cases } = readRecorded('chat-templates.json') as Recorded;
const signal = new AbortController().signal;

describe('chat templates, as transformers chooses them', () => {
  it.each(cases)('$name', async ({ files, template, plain, tools, processor }) => {
    const { tokenizer: parts } = await readTexts(makeSource({ ...BASE, ...files }), 'tokenizer.json', signal);
    expect(parts?.chatTemplates).toEqual(template ?? processor);
    if (!parts || template === null) return;
    const { chatTemplates, config } = parts;
    const tokenizer = new transformers.PreTrainedTokenizer(parts.tokenizer, {
      ...config,
      chat_template: chatTemplates,
    });
    const choose = (offered: object[] | null): string | null => {
      try {
        return tokenizer.get_chat_template(offered ? { tools: offered } : {});
      } catch {
        return null;
      }
    };
    expect([choose(null), choose([{ type: 'function' }])]).toEqual([plain, tools]);
  });

  it.each([
    ['a number', 5],
    ['a list of texts', ['x']],
    ['a list without names', [{ template: 'x' }]],
  ])('refuses %s', async (_, chatTemplate) => {
    const files = { ...BASE, 'tokenizer_config.json': JSON.stringify({ chat_template: chatTemplate }) };
    await expect(readTexts(makeSource(files), 'tokenizer.json', signal)).rejects.toMatchObject({
      code: 'tokenizer_invalid',
    });
  });
});
