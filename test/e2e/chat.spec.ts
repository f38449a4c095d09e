/**
 * Conversations from the page to the model: options of the chat template reach it, and the answer's pieces are its text.
 */
import type { ChatMessage } from '../../src/index.ts';
import { bundledModelId, expect, test } from './support.ts';

test('a conversation in parts is gone on with where it ended; the pieces of the answer are its text', async ({
  app,
}) => {
  const id = await bundledModelId(app);
  const told = await app.evaluate(async (modelId) => {
    const { loader, isLoadError } = window.firstlight;
    const model = await loader.load(modelId, { device: 'wasm' });
    const question = 'Tell me a story about a fox.';
    const parts = [
      { type: 'text', text: 'Tell me a story ' },
      { type: 'text', text: 'about a fox.' },
    ];
    const begun: ChatMessage[] = [
      { role: 'user', content: parts },
      { role: 'assistant', content: 'Once upon a time' },
    ];
    const options = { continue_final_message: true, max_new_tokens: 24, do_sample: false };
    const open = await model.tokenize(begun, options);
    const ids: number[] = [];
    let pieces = '';
    for await (const token of model.generate(begun, options)) {
      ids.push(token.id);
      pieces += token.text;
    }
    const code = await model.tokenize([]).catch((error: unknown) => isLoadError(error) && error.code);
    const result = {
      pieces,
      code,
      open: await model.detokenize(open),
      whole: await model.detokenize([...open, ...ids]),
      joined: await model.tokenize([{ role: 'user', content: parts }]),
      plain: await model.tokenize([{ role: 'user', content: question }]),
    };
    await model.dispose();
    return result;
  }, id);
  expect(told.joined).toEqual(told.plain);
  expect(told.open).toMatch(/Once upon a time$/u);
  expect(told.open + told.pieces).toBe(told.whole);
  expect(told.pieces.length).toBeGreaterThan(20);
  expect(told.code).toBe('invalid_argument');
});
