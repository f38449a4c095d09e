/**
 * Small files that are not what they should be.
 */
import { describe, expect, it } from 'vitest';
import { readFixture, readTexts } from '../../../src/pipeline/texts/read-texts.ts';
import { TEXT_KINDS } from '../../../src/pipeline/texts/read-file.ts';
import { BASE, loadTokenizer, makeSource } from './made-source.ts';

const signal = new AbortController().signal;
const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 17078292\n`;

describe('a damaged text', () => {
  it.each<[path: string, content: string | Uint8Array, code: string]>([
    ['tokenizer.json', '{', 'tokenizer_invalid'],
    ['tokenizer.json', '[]', 'tokenizer_invalid'],
    ['tokenizer.json', POINTER, 'lfs_pointer'],
    ['tokenizer.json', Uint8Array.of(0x22, 0xff, 0x22), 'tokenizer_invalid'],
    ['tokenizer_config.json', 'null', 'tokenizer_invalid'],
    ['added_tokens.json', '"x"', 'tokenizer_invalid'],
    ['chat_template.jinja', Uint8Array.of(0xff), 'tokenizer_invalid'],
    ['additional_chat_templates/tool_use.jinja', POINTER, 'lfs_pointer'],
    ['config.json', '{', 'config_invalid'],
    ['generation_config.json', POINTER, 'lfs_pointer'],
  ])('%s (%j): %s, and the file is named', async (path, content, code) => {
    const reading = readTexts(makeSource({ ...BASE, [path]: content }), 'tokenizer.json', signal);
    await expect(reading).rejects.toThrow(path);
    await expect(reading).rejects.toMatchObject({ code, detail: { path } });
  });

  it.each(['{"model": {"type": "Nothing", "vocab": {}}}', '{"model": null}', '{}'])(
    'a tokenizer.json that says nothing (%s): tokenizer_invalid',
    async (text) => {
      await expect(loadTokenizer({ 'tokenizer.json': text })).rejects.toMatchObject({ code: 'tokenizer_invalid' });
    },
  );
});

describe('a generation_config.json that cannot be read', () => {
  it.each([
    ['{', 'is not JSON in UTF-8'],
    ['[1]', 'holds no JSON object'],
  ])('is left out (%j), and a notice names it: nothing in it is needed', async (content, what) => {
    const { generationConfig, notices } = await readTexts(
      makeSource({ ...BASE, 'generation_config.json': content }),
      'tokenizer.json',
      signal,
    );
    expect(generationConfig).toBeNull();
    expect(notices).toEqual([expect.stringContaining(what)]);
    expect(notices[0]).toMatch(/^generation_config\.json .* It is left out\.$/u);
  });
});

describe('a text that is too large', () => {
  it.each([
    ['tokenizer.json', TEXT_KINDS.vocabulary],
    ['tokenizer_config.json', TEXT_KINDS.tokenizerConfig],
    ['chat_template.jinja', TEXT_KINDS.template],
    ['config.json', TEXT_KINDS.config],
  ])('%s is refused by its announced size, unread', async (path, { maxBytes, code }) => {
    const read: string[] = [];
    const source = makeSource({ ...BASE, [path]: '' }, read);
    const files = source.snapshot.files.map((file) => ({
      ...file,
      sizeBytes: file.path === path ? maxBytes + 1 : file.sizeBytes,
    }));
    const reading = readTexts({ ...source, snapshot: { files } }, 'tokenizer.json', signal);
    await expect(reading).rejects.toMatchObject({ code, detail: { path, sizeBytes: maxBytes + 1 } });
    expect(read).not.toContain(path);
  });

  it("the model's own test, too", async () => {
    const source = makeSource({ 'firstlight-fixture.json': '' });
    const files = source.snapshot.files.map((file) => ({ ...file, sizeBytes: TEXT_KINDS.fixture.maxBytes + 1 }));
    const reading = readFixture({ ...source, snapshot: { files } }, 100, signal);
    await expect(reading).rejects.toMatchObject({ code: 'config_invalid' });
  });
});
