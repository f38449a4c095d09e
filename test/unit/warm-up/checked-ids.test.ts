import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as transformers from '@huggingface/transformers';
import { listFirstIds } from '../../../src/pipeline/serve/first-ids.ts';
import { TextTokenizer } from '../../../src/pipeline/texts/text-tokenizer.ts';
import { chooseCheckedIds } from '../../../src/pipeline/warm-up/checked-ids.ts';

describe('the ids that a model is checked with', () => {
  it('begin as a first prompt does, and are spread over the vocabulary after that', () => {
    const ids = chooseCheckedIds([5, 9, 7], 300, 32);
    expect(ids.slice(0, 3)).toEqual([5, 9, 7]);
    expect(ids).toHaveLength(32);
    expect(new Set(ids.slice(3)).size).toBe(29);
    expect(Math.max(...ids)).toBeGreaterThan(250);
  });

  it('leave half of the room to the others, and take no id that the vocabulary lacks', () => {
    const long = Array.from({ length: 100 }, (_, index) => index + 1000);
    expect(chooseCheckedIds(long, 5000, 32).slice(0, 18)).toEqual([...long.slice(0, 16), 1, 32]);
    expect(chooseCheckedIds([400, 3], 300, 4)).toEqual([3, 1, 32, 63]);
    expect(chooseCheckedIds([8, 9], 300, 1)).toEqual([8]);
  });
});

describe('what a first prompt begins with', () => {
  const folder = new URL('../../../public/models/firstlight/storyteller-2m/', import.meta.url);
  const read = (name: string) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Record<string, unknown>;
  const configs = [read('generation_config.json'), read('config.json')];
  const request = (change: { chat?: string | null; text?: boolean }) => {
    const config = read('tokenizer_config.json');
    const chatTemplates = change.chat === undefined ? (config['chat_template'] as string) : change.chat;
    const parts = change.text === false ? null : { tokenizer: read('tokenizer.json'), config, chatTemplates };
    return { tokenizer: new TextTokenizer(transformers, parts), configs, vocabSize: 3000 };
  };
  // Recorded by Hugging Face tokenizers and jinja2.
  const reference = JSON.parse(
    readFileSync(new URL('../../fixtures/reference/storyteller-2m.json', import.meta.url), 'utf8'),
  ) as { tokenizer: { text: string; ids: number[] }[] };

  it('is a conversation where there is a chat template', () => {
    const { tokenizer, ...rest } = request({});
    expect(tokenizer.hasChatTemplate).toBe(true);
    const ids = listFirstIds({ tokenizer, ...rest });
    expect(tokenizer.decode(ids, true)).toContain('Hello');
    expect(ids.length).toBeGreaterThan(tokenizer.encodePrompt('Hello', 3000).length);
  });

  it.each([
    ['there is none', null],
    ['it refuses', "{{ raise_exception('Only in Latin.') }}"],
  ])('is a text where %s', (_, chat) => {
    const { tokenizer, ...rest } = request({ chat });
    const [first] = reference.tokenizer.find(({ text }) => text === 'Once upon a time')?.ids ?? [];
    expect(listFirstIds({ tokenizer, ...rest })[0]).toBe(first);
  });

  it('is the id that begins texts where there is no tokenizer, and nothing where there is none', () => {
    expect(listFirstIds(request({ text: false }))).toEqual([1]);
    expect(listFirstIds({ ...request({ text: false }), configs: [{}] })).toEqual([]);
  });
});
