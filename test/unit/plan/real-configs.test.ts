/**
 * Plans of real models, from their configs. The figures are the well-known ones, and sums written out here by hand.
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type HeaderTensor,
  listTensors,
  type MadeRepository,
  makeRepository,
  makeSingle,
  plan,
} from './made-repository.ts';

const CONFIGS = new URL('../../../../shared/data/real-configs/', import.meta.url);
const COGITO = new URL('cogito-14B-qwen2/', CONFIGS);
const QWEN = new URL('Qwen2.5-0.5B-Instruct/', CONFIGS);
const read = (url: URL): unknown => JSON.parse(readFileSync(url, 'utf8'));
const absent = (url: URL): boolean => {
  if (existsSync(url)) return false;
  console.warn(`SKIPPED: ${url.pathname} is absent`);
  return true;
};

type Config = Parameters<typeof listTensors>[0];

/** The repository with its real index, headers made from the shapes. */
function openCogito(): { tensors: Map<string, HeaderTensor>; repository: MadeRepository } {
  const config = read(new URL('config.json', COGITO)) as Config;
  const index = read(new URL('model.safetensors.index.json', COGITO)) as { weight_map: Record<string, string> };
  const tensors = listTensors(config);
  const shards = new Map<string, Map<string, HeaderTensor>>();
  for (const [name, path] of Object.entries(index.weight_map)) {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`${name} is not a tensor of a qwen2`);
    shards.set(path, (shards.get(path) ?? new Map<string, HeaderTensor>()).set(name, tensor));
  }
  const texts = { 'config.json': config, 'model.safetensors.index.json': index };
  return { tensors, repository: makeRepository(shards, texts) };
}

describe.skipIf(absent(COGITO))('cogito 14B (qwen2)', () => {
  it('has the well-known figures', async () => {
    const { tensors, repository } = openCogito();
    const { costs, weightFiles, dtype, weights } = await plan(repository);
    expect(tensors.size).toBe(579);
    expect(weightFiles.length).toBe(6);
    expect(costs.parameterCount / 1e9).toBeCloseTo(14.77, 2);
    expect((costs.parameterCount * 4) / 1e9).toBeCloseTo(59.1, 1);
    expect((costs.parameterCount * 2) / 1e9).toBeCloseTo(29.5, 1);
    expect(costs.parameterCount / 1e9).toBeCloseTo(14.8, 1);
    expect(costs.parameterCount / 2 / 1e9).toBeCloseTo(7.4, 1);
    expect(dtype).toBe('q4');
    expect(weights.flatMap((weight) => weight.sources).length).toBe(579);
    // The files hold 2 bytes a parameter and their headers, and the real index says the same.
    expect(costs.downloadBytes).toBeGreaterThan(costs.parameterCount * 2);
    expect(costs.downloadBytes).toBeLessThan(costs.parameterCount * 2 + 6 * 100_000);
  });

  it('agrees with the real shard sizes to within their headers', async () => {
    const real = read(new URL('model_files.json', COGITO)) as { model_files: { name: string; size: number }[] };
    const { weightFiles } = await plan(openCogito().repository);
    for (const { name, size } of real.model_files) {
      const ours = weightFiles.find(({ path }) => path === name)?.sizeBytes ?? 0;
      expect(Math.abs(ours - size)).toBeLessThan(2_000);
    }
  });

  it('counts the scales exactly', async () => {
    const { costs, contextTokens } = await plan(openCogito().repository);
    const [h, i, kv, v, layers] = [5120, 13_824, 1024, 151_665, 48];
    const matrices = layers * (h * h + 2 * kv * h + h * h + 3 * h * i);
    const embeddings = 2 * v * h;
    const vectors = layers * (2 * h + h + 2 * kv) + h;
    const tables = 2 * contextTokens * 64;
    expect(costs.parameterCount).toBe(matrices + embeddings + vectors);
    // All widths here are multiples of 32: a block of 32 costs 32 or 16 bytes and a scale of 4 or 2.
    expect(costs.weightBytesByDtype).toEqual({
      fp32: 4 * (matrices + embeddings + vectors + tables),
      fp16: 2 * (matrices + embeddings + vectors + tables),
      q8: ((matrices + embeddings) / 32) * 36 + 4 * (vectors + tables),
      q4: (matrices / 32) * 20 + (embeddings / 32) * 36 + 4 * (vectors + tables),
      q4f16: (matrices / 32) * 18 + (embeddings / 32) * 34 + 2 * (vectors + tables),
    });
    expect(costs.kvBytesPerToken).toBe(2 * 48 * 8 * 128 * 4);
  });
});

describe.skipIf(absent(QWEN))('Qwen2.5 0.5B', () => {
  it('is 494 M parameters, 988 MB in bf16, and goes to q8', async () => {
    const config = read(new URL('config.json', QWEN)) as Config;
    const { costs, dtype, unusedTensors } = await plan(makeSingle(config, listTensors(config)));
    expect(costs.parameterCount).toBe(494_032_768); // as its model page says: 0.49 B
    expect(costs.downloadBytes / 1e6).toBeCloseTo(988, 0);
    expect(dtype).toBe('q8');
    expect(unusedTensors).toEqual([]);
  });
});
