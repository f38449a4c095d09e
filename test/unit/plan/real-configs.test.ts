/**
 * Plans of real models, from their configs. The figures are the well-known ones, and sums written out here by hand.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findBlueprint, supportedModelTypes } from '../../../src/blueprints/registry.ts';
import { refuseQuantized } from '../../../src/formats/repository/quantized-config.ts';
import type { Dtype } from '../../../src/contract/plan.ts';
import { isAbsent, sharedData } from '../../shared-data.ts';
import {
  ADAPTER,
  errorOf,
  type HeaderTensor,
  listTensors,
  type MadeRepository,
  makeRepository,
  makeSingle,
  plan,
} from './made-repository.ts';

const COGITO = sharedData('real-configs/cogito-14B-qwen2/');
const QWEN = sharedData('real-configs/Qwen2.5-0.5B-Instruct/');
const REAL = sharedData('real-configs/');
const read = (url: URL): unknown => JSON.parse(readFileSync(url, 'utf8'));

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

describe.skipIf(isAbsent(COGITO))('cogito 14B (qwen2)', () => {
  it('has the well-known figures', async () => {
    const { tensors, repository } = openCogito();
    const { costs, weightFiles, dtype, dtypes, weights } = await plan(repository);
    expect(tensors.size).toBe(579);
    expect(weightFiles.length).toBe(6);
    expect(costs.parameterCount / 1e9).toBeCloseTo(14.77, 2);
    const inGigabytes = (dtype: Dtype): string => (dtypes[dtype].parameterBytes / 1e9).toFixed(1);
    expect([inGigabytes('fp32'), inGigabytes('fp16'), inGigabytes('q8'), inGigabytes('q4')]).toEqual([
      '59.1',
      '29.5',
      '14.8',
      '7.4',
    ]);
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
    const { costs, contextTokens, dtypes } = await plan(openCogito().repository);
    const [h, i, kv, v, layers] = [5120, 13_824, 1024, 151_665, 48];
    const matrices = layers * (h * h + 2 * kv * h + h * h + 3 * h * i);
    const embeddings = 2 * v * h;
    const norms = layers * 2 * h + h; // float32 in every dtype
    const biases = layers * (h + 2 * kv);
    const vectors = norms + biases;
    const tables = 2 * contextTokens * 64;
    expect(costs.parameterCount).toBe(matrices + embeddings + vectors);
    // All widths here are multiples of 32: a block of 32 costs 32 or 16 bytes and a scale of 4 or 2.
    const weightBytes = Object.fromEntries(Object.entries(dtypes).map(([dtype, fit]) => [dtype, fit.weightBytes]));
    expect(weightBytes).toEqual({
      fp32: 4 * (matrices + embeddings + vectors + tables),
      fp16: 2 * (matrices + embeddings + biases + tables) + 4 * norms,
      q8: ((matrices + embeddings) / 32) * 36 + 4 * (vectors + tables),
      q4: (matrices / 32) * 20 + (embeddings / 32) * 36 + 4 * (vectors + tables),
      q4f16: (matrices / 32) * 18 + (embeddings / 32) * 34 + 2 * (biases + tables) + 4 * norms,
    });
    expect(costs.scaleBytes).toBe(((matrices + embeddings) / 32) * 4); // it is planned in q4: 8 bits or 4, a float each
    expect(costs.kvBytesPerToken).toBe(2 * 48 * 8 * 128 * 4);
  });
});

describe.skipIf(isAbsent(COGITO))('cogito 14B on small devices', () => {
  it('is split for a phone that binds 128 MiB', async () => {
    const adapter = { ...ADAPTER, limits: { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 } };
    const { weights, costs, limits, longestContextTokens } = await plan(openCogito().repository, { adapter });
    expect(limits).toEqual({ maxBufferBytes: 2 ** 27, simulated: false });
    const parts = weights.filter(({ part }) => part?.of === 'lm_head');
    expect(parts.length).toBe(Math.ceil((151_665 * 5120) / 2 ** 27)); // 8 bits a value
    expect(Math.max(...weights.flatMap(({ buffers }) => buffers.map((b) => b.sizeBytes)))).toBeLessThanOrEqual(2 ** 27);
    expect(longestContextTokens).toBe(2 ** 27 / (8 * 128 * 4));
    expect(costs.weightBytes).toBe((await plan(openCogito().repository)).costs.weightBytes);
  });

  it('does_not_fit WebAssembly in any dtype: says so with the numbers, and where it would fit', async () => {
    const request = { dtype: 'auto', device: 'wasm', contextTokens: null, simulatedLimits: null } as const;
    const error = await errorOf(plan(openCogito().repository, { request }));
    expect(error.code).toBe('does_not_fit');
    expect(error.message).toMatch(/On the device "webgpu" fp32, q8, q4 would fit/);
    expect(error.detail).toMatchObject({ dtype: 'q4', limitBytes: 3.5 * 2 ** 30, alternatives: [] });
    const nowhere = await errorOf(plan(openCogito().repository, { request, adapter: null }));
    expect(nowhere.message).toMatch(/No dtype of this model would fit/);
  });
});

describe.skipIf(isAbsent(QWEN))('Qwen2.5 0.5B', () => {
  it('is 494 M parameters, 988 MB in bf16, and goes to q8', async () => {
    const config = read(new URL('config.json', QWEN)) as Config;
    const { costs, dtype, unusedTensors } = await plan(makeSingle(config, listTensors(config)));
    expect(costs.parameterCount).toBe(494_032_768); // as its model page says: 0.49 B
    expect(costs.downloadBytes / 1e6).toBeCloseTo(988, 0);
    expect(dtype).toBe('q8');
    expect(unusedTensors).toEqual([]);
  });
});

describe.skipIf(isAbsent(REAL))('every real config of the families', () => {
  it('gives a shape; a quantised checkpoint is refused, whatever its family', () => {
    let shapes = 0;
    for (const folder of readdirSync(REAL)) {
      const url = new URL(`${encodeURIComponent(folder)}/config.json`, REAL);
      const text = existsSync(url) ? readFileSync(url, 'utf8') : '';
      if (!/"model_type": *"(llama|mistral|qwen2)"/.test(text)) continue;
      const config = JSON.parse(text) as Readonly<Record<string, unknown>>;
      if (!supportedModelTypes().includes(String(config['model_type']))) continue; // a part of the model is of a family
      const isQuantised = 'quantization_config' in config || 'quantization' in config;
      expect(() => findBlueprint(config).readSpec(config), folder).not.toThrow();
      const refuse = (): void => refuseQuantized(config);
      if (isQuantised) expect(refuse, folder).toThrow(/already quantised/);
      else expect(refuse, folder).not.toThrow();
      shapes += isQuantised ? 0 : 1;
    }
    expect(shapes).toBeGreaterThan(20);
  });
});
