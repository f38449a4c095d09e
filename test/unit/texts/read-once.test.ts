/**
 * What the plan and serving both need of a repository crosses to the fetch worker once.
 */
import { expect, test } from 'vitest';
import type { Snapshot } from '../../../src/contract/snapshot.ts';
import { readConfig } from '../../../src/pipeline/plan/read-config.ts';
import { readOnce } from '../../../src/pipeline/texts/read-once.ts';
import { readTexts } from '../../../src/pipeline/texts/read-texts.ts';
import { BASE, makeSource } from './made-source.ts';

const signal = new AbortController().signal;
const CONFIG = '{"model_type": "llama"}';

test('every file that the plan reads or looks at is read once a load', async () => {
  const read: string[] = [];
  const source = readOnce(
    makeSource({ ...BASE, 'config.json': CONFIG, 'generation_config.json': '{"eos_token_id": 2}' }, read),
  );
  const snapshot = { ...source.snapshot, modelId: 'acme/tiny' } as Snapshot;
  const planned = await readConfig(snapshot, (path) => source.files.readAll(path), 'tokenizer.json');
  const texts = await readTexts(source, 'tokenizer.json', signal);
  expect([planned, texts.config, texts.generationConfig]).toEqual([
    { model_type: 'llama' },
    { model_type: 'llama' },
    { eos_token_id: 2 },
  ]);
  expect(read.toSorted()).toEqual([...new Set(read)].sort());
  expect(read).toEqual(expect.arrayContaining(['config.json', 'generation_config.json', 'tokenizer.json']));
});

test('a large file is not held, and one that could not be read is asked for again', async () => {
  const read: string[] = [];
  const made = makeSource({ large: new Uint8Array(2 ** 21), small: 'x' }, read);
  let failures = 1;
  const source = readOnce({
    ...made,
    files: {
      readAll: (path) =>
        path === 'small' && failures-- > 0 ? Promise.reject(new Error('away')) : made.files.readAll(path),
    },
  });
  await source.files.readAll('large');
  await source.files.readAll('large');
  await expect(source.files.readAll('small')).rejects.toThrow('away');
  await source.files.readAll('small');
  await source.files.readAll('small');
  expect(read).toEqual(['large', 'large', 'small']);
});
