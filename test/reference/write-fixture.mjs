/**
 * Writes the bundled model's own test (`firstlight-fixture.json`) from what transformers computed for it.
 *
 * In: `test/fixtures/reference/<model>.json` and `.f32` (see `references/`). Out: a short prompt, and after its last token the eight largest logits, and eight spread over the vocabulary. Run `node scripts/write-model-index.mjs` afterwards.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const NAME = 'storyteller-2m';
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

const { prompts } = JSON.parse(await readFile(path(`../fixtures/reference/${NAME}.json`), 'utf8'));
const bytes = await readFile(path(`../fixtures/reference/${NAME}.f32`));
const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));

// Short, because every load runs it.
const prompt = prompts.find(({ inputIds }) => inputIds.length >= 5);
const logits = [...all.subarray(prompt.logits.offset, prompt.logits.offset + prompt.logits.length)];
const byValue = logits.map((value, id) => ({ id, value })).sort((a, b) => b.value - a.value);
const spread = Array.from({ length: 8 }, (_, index) => byValue[Math.floor(((index + 1) * byValue.length) / 9)]);
const chosen = [...new Set([...byValue.slice(0, 8), ...spread])];
const fixture = {
  inputIds: prompt.inputIds,
  logits: chosen.map(({ id, value }) => [id, Number(value.toPrecision(7))]),
};
await writeFile(path(`../../public/models/firstlight/${NAME}/firstlight-fixture.json`), `${JSON.stringify(fixture)}\n`);
