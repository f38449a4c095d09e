/**
 * Which tensor serves as the token embedding and which as the head: as transformers decides (golden/tied-heads.json, made by
 * test/reference, tied_heads), from headers and a few kilobytes.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LoadPlan } from '../../../src/contract/plan.ts';
import { errorOf, LLAMA_CONFIG, listTensors, type MadeRepository, makeSingle, plan } from './made-repository.ts';

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

interface Case {
  readonly config: Parameters<typeof listTensors>[0];
  readonly saved: string;
  readonly embedding: string | null;
  readonly head: string | null;
  readonly tied: boolean;
}

const cases = JSON.parse(readFileSync(new URL('golden/tied-heads.json', import.meta.url), 'utf8')) as readonly Case[];

/** A repository that holds what a case says; `differAt`: the byte of the head that is another one, counted from its end. */
function makeCase(config: Case['config'], saved: string, differAt = 1): MadeRepository {
  const tensors = listTensors({ ...config, tie_word_embeddings: false }); // the head is the last one
  if (!saved.startsWith('both') && saved !== 'embedding only') tensors.delete(EMBEDDING);
  if (!saved.startsWith('both') && saved !== 'head only') tensors.delete(HEAD);
  const repository = makeSingle(config, tensors);
  const sizeBytes = repository.snapshot.files.find(({ path }) => path === 'model.safetensors')?.sizeBytes ?? 0;
  return {
    ...repository,
    readRange: async (path, start, end) => {
      const bytes = (await repository.readRange(path, start, end)).slice();
      const at = sizeBytes - differAt;
      if (saved.startsWith('both, different') && start <= at && at < end) bytes[at - start] = 1;
      return bytes;
    },
  };
}

const tensorOf = (made: LoadPlan, weight: string): string | undefined =>
  made.weights.find(({ name }) => name === weight)?.sources[0]?.tensor;

describe('the head and the embedding, by what config.json says and what is saved', () => {
  it.each(
    cases.map((one) => {
      const tie = one.config.tie_word_embeddings as boolean | undefined;
      return [`${one.config.model_type}, tie_word_embeddings ${tie ?? 'absent'}: ${one.saved}`, one] as const;
    }),
  )('%s', async (_, { config, saved, embedding, head, tied }) => {
    const planning = plan(makeCase(config, saved));
    if (embedding === null || head === null) {
      // transformers draws them at random and warns.
      const error = await errorOf(planning);
      expect(error.code).toBe('tensor_missing');
      const names = [embedding === null ? EMBEDDING : [], head === null && !tied ? HEAD : []].flat();
      expect(error.detail).toMatchObject({ names });
      return;
    }
    const made = await planning;
    expect(tensorOf(made, 'embed')).toBe(embedding);
    expect(made.spec.head.tied).toBe(tied);
    expect(tensorOf(made, 'lm_head')).toBe(tied ? undefined : head);
  });
});

describe('a head that config.json ties', () => {
  const large = { ...LLAMA_CONFIG, vocab_size: 50_000 };

  it('is compared in a few kilobytes, and only where both are saved', async () => {
    const kilobytesRead = async (saved: string): Promise<number> => {
      const repository = makeCase(large, saved);
      await plan(repository);
      return (repository.rangeBytes.get('model.safetensors') ?? 0) / 1024;
    };
    const header = await kilobytesRead('embedding only');
    expect(await kilobytesRead('both, equal')).toBe(header + 64);
  });

  it('is apart where the first, the last or a middle part differs, and a notice says so', async () => {
    const headBytes = 50_000 * 64 * 2;
    for (const differAt of [1, 4096, headBytes, Math.round((headBytes - 4096) / 7) * 3 + 1]) {
      const { spec, notices, costs, unusedTensors } = await plan(makeCase(large, 'both, different', differAt));
      expect(spec.head.tied).toBe(false);
      expect(notices).toEqual([expect.stringMatching(/both and they differ.*as transformers does/)]);
      expect(unusedTensors).toEqual([]);
      expect(costs.parameterCount).toBeGreaterThan(2 * 50_000 * 64);
    }
    expect((await plan(makeCase(large, 'both, equal'))).notices).toEqual([]);
  });

  it('stands in for an embedding that is not saved, and a notice says so', async () => {
    const { notices } = await plan(makeCase(large, 'head only'));
    expect(notices).toEqual([expect.stringMatching(/^lm_head\.weight serves as the token embedding, too/)]);
  });

  it('is apart where it is stored in another number format', async () => {
    const tensors = listTensors({ ...LLAMA_CONFIG, tie_word_embeddings: false });
    tensors.set(HEAD, { dtype: 'F32', shape: [300, 64] });
    expect((await plan(makeSingle(LLAMA_CONFIG, tensors))).spec.head.tied).toBe(false);
  });

  it('tensor_missing says why a checkpoint without a head is not complete', async () => {
    const error = await errorOf(plan(makeCase({ ...large, tie_word_embeddings: false }, 'embedding only')));
    expect(error.message).toMatch(/tie_word_embeddings is false or absent/);
  });
});
