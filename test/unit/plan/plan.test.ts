import { listGraphTensors } from '../../../src/base/weight-tensors.ts';
import { describe, expect, it } from 'vitest';
import type { GraphTensor, Dtype, LoadPlan } from '../../../src/contract/plan.ts';
import type { PlanInput } from '../../../src/pipeline/plan/plan.ts';
import { usualStorage } from '../../../src/pipeline/resolve/storage.ts';
import { summarizePlan } from '../../../src/pipeline/plan/summary.ts';
import { ADAPTER, errorOf, LLAMA_CONFIG, listTensors, makeRepository, makeSingle, plan } from './made-repository.ts';

const request = (dtype: Dtype, maxBufferBytes: number | null = null) => ({
  dtype,
  device: 'auto' as const,
  contextTokens: null,
  simulatedLimits: maxBufferBytes === null ? null : { maxBufferBytes },
});
const WITH_F16 = { ...ADAPTER, features: ['shader-f16'] };

function tensorNamed(made: LoadPlan, name: string): GraphTensor | undefined {
  return listGraphTensors(made.weights).find((tensor) => tensor.name === name);
}

describe('planLoad', () => {
  it('describes a small llama in fp32, every buffer and tensor', async () => {
    const made = await plan(makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG)));
    expect(made).toMatchObject({ dtype: 'fp32', device: 'webgpu', contextTokens: 512, activationType: 'float32' });
    expect(made.dtypeReason).toMatch(/fp32/);
    expect(tensorNamed(made, 'layers.0.attn.qkv')).toEqual({
      name: 'layers.0.attn.qkv',
      type: 'float32',
      dims: [64 + 32 + 32, 64],
      buffer: 'layers.0.attn.qkv',
    });
    expect(tensorNamed(made, 'layers.1.attn_norm')?.dims).toEqual([64]);
    expect(tensorNamed(made, 'rotary.cos')?.dims).toEqual([512, 8]);
    const qkv = made.weights.find((weight) => weight.name === 'layers.0.attn.qkv');
    expect(qkv?.sources.map((source) => source.tensor)).toEqual(
      ['q', 'k', 'v'].map((part) => `model.layers.0.self_attn.${part}_proj.weight`),
    );
    // Byte ranges as the header has them: sizes follow the shapes, in bf16.
    expect(qkv?.sources.map(({ start, end }) => end - start)).toEqual([64 * 64 * 2, 32 * 64 * 2, 32 * 64 * 2]);

    const parameters = 300 * 64 + 64 + 2 * (2 * 64 + 128 * 64 + 64 * 64 + 3 * 160 * 64);
    expect(made.costs.parameterCount).toBe(parameters);
    expect(made.costs.weightBytes).toBe(4 * (parameters + 2 * 512 * 8));
    const norms = (1 + 2 * 2) * 64; // float32 in every dtype
    expect(made.dtypes.fp16.weightBytes).toBe(2 * (parameters + 2 * 512 * 8) + 2 * norms);
    expect(made.costs.kvBytesPerToken).toBe(2 * 2 * 2 * 16 * 4);
    expect(made.costs.kvCacheBytes).toBe(512 * made.costs.kvBytesPerToken);
    expect(made.costs.downloadBytes).toBe(made.weightFiles[0]?.sizeBytes);
  });

  it('q4: matrices in 4 bits, the tied embedding in 8 and declared twice over the same bytes', async () => {
    const made = await plan(makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG)), { request: request('q4') });
    expect(tensorNamed(made, 'layers.0.mlp.down.blocks')).toMatchObject({ dims: [64, 5, 16], type: 'uint8' });
    expect(tensorNamed(made, 'layers.0.mlp.down.scales')).toMatchObject({ dims: [64, 5], type: 'float32' });
    expect(tensorNamed(made, 'embed.blocks')).toMatchObject({ dims: [300, 2, 32], buffer: 'embed.blocks' });
    expect(tensorNamed(made, 'embed.gather')).toMatchObject({ dims: [300, 64], buffer: 'embed.blocks' });
    expect(tensorNamed(made, 'norm')).toMatchObject({ dims: [64], type: 'float32' });
    const buffers = made.weights.flatMap((weight) => weight.buffers);
    expect(new Set(buffers.map(({ name }) => name)).size).toBe(buffers.length);
    expect(listGraphTensors(made.weights).every(({ buffer }) => buffers.some(({ name }) => name === buffer))).toBe(
      true,
    );
    expect(made.costs.weightBytes).toBe(buffers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    expect(made.costs.weightBytes).toBe(made.dtypes.q4.weightBytes);
  });

  it('q4f16: float16 scales, tables and KV, float32 norms', async () => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG));
    const made = await plan(repository, { request: request('q4f16'), adapter: WITH_F16 });
    const buffers = made.weights.flatMap((weight) => weight.buffers);
    const namesOf = (type: string) => buffers.flatMap((buffer) => (buffer.type === type ? [buffer.name] : []));
    expect(namesOf('float32')).toEqual(
      [0, 1].flatMap((l) => [`layers.${l}.attn_norm`, `layers.${l}.mlp_norm`]).concat('norm'),
    );
    expect(new Set(buffers.map(({ type }) => type))).toEqual(new Set(['float32', 'float16', 'uint8']));
    expect(made.activationType).toBe('float16');
    expect(made.costs.kvBytesPerToken).toBe(2 * 2 * 2 * 16 * 2);
  });

  it('an untied embedding has the gather form only; a row that is no whole blocks stays plain', async () => {
    const untied = { ...LLAMA_CONFIG, tie_word_embeddings: false };
    const made = await plan(makeSingle(untied, listTensors(untied)), { request: request('q8') });
    expect(tensorNamed(made, 'embed.blocks')).toBeUndefined();
    expect(tensorNamed(made, 'embed.gather')).toBeDefined();
    expect(tensorNamed(made, 'lm_head.blocks')?.dims).toEqual([300, 2, 32]);

    const uneven = { ...LLAMA_CONFIG, hidden_size: 80, num_attention_heads: 5, num_key_value_heads: 1 };
    const plain = await plan(makeSingle(uneven, listTensors(uneven)), { request: request('q4') });
    expect(tensorNamed(plain, 'embed')).toMatchObject({ dims: [300, 80], type: 'float32' });
    expect(tensorNamed(plain, 'layers.0.attn.o.blocks')?.dims).toEqual([80, 3, 16]);
  });

  it('splits what is larger than a buffer, through stacked sources, and accounts for every byte', async () => {
    const made = await plan(makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG)), { request: request('fp32', 24_576) });
    expect(made.limits).toEqual({ maxBufferBytes: 24_576, simulated: true });
    // 300 rows of 256 bytes: 96 a buffer, so 4 parts, of 96 rows and the rest.
    const embed = made.weights.filter(({ part }) => part?.of === 'embed');
    expect(embed.map(({ name, rows, part }) => [name, rows, part?.firstRow])).toEqual([
      ['embed.part0', 96, 0],
      ['embed.part1', 96, 96],
      ['embed.part2', 96, 192],
      ['embed.part3', 12, 288],
    ]);
    expect(tensorNamed(made, 'embed.part3')).toEqual({
      name: 'embed.part3',
      type: 'float32',
      dims: [12, 64],
      buffer: 'embed.part3',
    });
    expect(tensorNamed(made, 'embed')).toBeUndefined();
    // q, k and v are 64 + 32 + 32 rows, in parts of 64: the second is k and v.
    const qkv = made.weights.filter(({ part }) => part?.of === 'layers.0.attn.qkv');
    expect(qkv.map(({ sources }) => sources.map(({ tensor }) => tensor.split('.')[4]))).toEqual([
      ['q_proj'],
      ['k_proj', 'v_proj'],
    ]);
    const whole = await plan(makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG)), { request: request('fp32') });
    const read = ({ weights }: LoadPlan): number =>
      weights.flatMap(({ sources }) => sources).reduce((sum, { start, end }) => sum + end - start, 0);
    expect(read(made)).toBe(read(whole));
    const tables = 2 * 8 * 4; // of rotary cosines and sines, a token
    expect(made.costs.weightBytes).toBe(whole.costs.weightBytes - (512 - 192) * tables);
    expect(Math.max(...made.weights.flatMap(({ buffers }) => buffers.map((b) => b.sizeBytes)))).toBeLessThanOrEqual(
      24_576,
    );
    // One layer's keys take 128 bytes a token.
    expect([made.contextTokens, made.longestContextTokens]).toEqual([192, 192]);
    expect(made.contextReason).toMatch(/Shortened from 512 tokens: one layer's keys take 128 bytes a token/);
    expect([whole.contextTokens, whole.longestContextTokens]).toEqual([512, 512]);
  });

  it('says what each dtype takes, and why one does not fit', async () => {
    const { dtypes, costs } = await plan(makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG)));
    expect(dtypes.q4f16).toMatchObject({ parameterBytes: costs.parameterCount / 2, longestContextTokens: 512 });
    expect(dtypes.q4f16.obstacle).toMatch(/float16/);
    expect(dtypes.q8.obstacle).toBeNull();
    expect(costs.deviceBytes).toBe(costs.weightBytes + costs.kvCacheBytes + costs.activationBytes);
    expect(dtypes.fp32.deviceBytes).toBe(costs.deviceBytes);
    expect(costs.scaleBytes).toBe(0);
  });

  it('takes WebAssembly where nothing fits the GPU, unless the GPU was asked for', async () => {
    const tiny = { maxBufferBytes: 200 }; // less than a row of 64 floats
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG));
    const made = await plan(repository, { request: { ...request('fp32'), simulatedLimits: tiny } });
    expect([made.device, made.limits]).toEqual(['wasm', null]);
    expect(made.deviceReason).toMatch(/does not fit the GPU/);
    const onGpu = { ...request('fp32'), device: 'webgpu', simulatedLimits: tiny } as const;
    const error = await errorOf(plan(repository, { request: onGpu }));
    expect(error.code).toBe('does_not_fit');
    expect(error.detail).toMatchObject({
      neededBytes: 300 * 256,
      limitBytes: 200,
      elsewhere: { device: 'wasm', alternatives: ['fp32', 'q8', 'q4'] },
    });
  });

  it('takes a software GPU only where WebAssembly cannot take the model, or where it is asked for', async () => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG));
    const software = { ...ADAPTER, isFallbackAdapter: true, features: ['shader-f16'] };
    const on = (asked: Partial<PlanInput['request']>) =>
      plan(repository, { adapter: software, request: { ...request('fp32'), dtype: 'auto', ...asked } });
    const open = await on({});
    expect([open.device, open.dtype, open.limits]).toEqual(['wasm', 'fp32', null]);
    expect(open.deviceReason).toMatch(/emulated on the CPU/u);
    const half = await on({ dtype: 'fp16' });
    expect([half.device, half.dtype]).toEqual(['webgpu', 'fp16']);
    expect(half.deviceReason).toMatch(/emulated on the CPU.*WebAssembly cannot/u);
    expect(await on({ device: 'webgpu' })).toMatchObject({ device: 'webgpu', deviceReason: 'As requested.' });
  });

  describe('where float16 was found to give wrong values', () => {
    const large = { ...LLAMA_CONFIG, hidden_size: 4096, intermediate_size: 16_384, num_hidden_layers: 6 };
    const repository = makeSingle(large, listTensors(large));
    const adapter = { ...ADAPTER, features: ['shader-f16'] };
    const float16Finding = 'Logit 3 of a first prompt is NaN.';
    const on = (asked: Partial<PlanInput['request']>, finding: string | null = float16Finding) =>
      plan(repository, { adapter, float16Finding: finding, request: { ...request('fp32'), dtype: 'auto', ...asked } });

    it('auto takes the dtype of the same width in float32, and says why', async () => {
      expect(await on({}, null)).toMatchObject({ dtype: 'q4f16', activationType: 'float16' });
      const made = await on({});
      expect(made).toMatchObject({ dtype: 'q4', activationType: 'float32', device: 'webgpu' });
      expect(made.dtypeReason).toMatch(
        /q4 takes \d+ MB\. In q4f16 it computes in float16, .* gave wrong values on this GPU \(Logit 3 of a first prompt is NaN\)\.$/u,
      );
      expect([made.dtypes.fp16.obstacle, made.dtypes.q4f16.obstacle]).toEqual(
        Array(2).fill(expect.stringMatching(/gave wrong values/u)),
      );
    });

    it('what is asked for by name is planned as ever', async () => {
      for (const dtype of ['q4f16', 'fp16'] as const) {
        expect(await on({ dtype })).toMatchObject({ dtype, dtypeReason: 'As requested.' });
        expect((await on({ dtype })).dtypes.q4f16.obstacle).toBeNull();
      }
    });

    it('does_not_fit offers no float16 where only that would fit', async () => {
      const made = await on({}, null);
      const heads = large.num_key_value_heads * (large.hidden_size / large.num_attention_heads);
      // 64 tokens of one layer's keys fit in float16, and do not in float32.
      const simulatedLimits = { maxBufferBytes: 64 * heads * 3 };
      expect(made.dtype).toBe('q4f16');
      expect((await on({ device: 'webgpu', simulatedLimits }, null)).dtype).toBe('q4f16');
      const error = await errorOf(on({ device: 'webgpu', simulatedLimits }));
      expect([error.code, error.detail.alternatives]).toEqual(['does_not_fit', []]);
      const open = await on({ simulatedLimits });
      expect([open.device, open.dtype]).toEqual(['wasm', 'q4']);
    });
  });

  it('says why there is no adapter', async () => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG));
    const made = await plan(repository, { adapter: null, adapterAbsence: 'Its driver is blocked.' });
    expect([made.device, made.deviceReason]).toEqual(['wasm', 'Its driver is blocked.']);
  });

  it('reads sharded headers, a few kilobytes each, and no more', async () => {
    const all = [...listTensors(LLAMA_CONFIG)];
    const shards = new Map(
      [0, 1, 2].map((i) => [`model-0000${i + 1}-of-00003.safetensors`, new Map(all.filter((_, n) => n % 3 === i))]),
    );
    const weight_map = Object.fromEntries(
      [...shards].flatMap(([path, tensors]) => [...tensors.keys()].map((t) => [t, path])),
    );
    const repository = makeRepository(shards, {
      'config.json': LLAMA_CONFIG,
      'model.safetensors.index.json': { metadata: {}, weight_map },
    });
    const made = await plan(repository);
    expect(made.weightFiles.map(({ path }) => path)).toEqual([...shards.keys()]);
    expect([...repository.rangeBytes.keys()].sort()).toEqual([...shards.keys()]);
    expect(Math.max(...repository.rangeBytes.values())).toBeLessThanOrEqual(64 * 1024);

    const lost = makeRepository(shards, { 'config.json': LLAMA_CONFIG }); // without its index
    expect((await plan(lost)).weights).toEqual(made.weights);
  });

  it('asks for the config and the headers at once', async () => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG));
    let onHeaderAsked: () => void = () => undefined;
    const headerAsked = new Promise<void>((resolve) => (onHeaderAsked = resolve));
    await plan(repository, {
      readAll: async (path) => {
        await headerAsked; // never, if the header waited for the config
        return repository.readAll(path);
      },
      readRange: (...range) => {
        onHeaderAsked();
        return repository.readRange(...range);
      },
    });
  });

  it('finds a base model, saved without the prefix "model."', async () => {
    const bare = new Map([...listTensors(LLAMA_CONFIG)].map(([name, t]) => [name.replace(/^model\./, ''), t]));
    const made = await plan(makeSingle(LLAMA_CONFIG, bare));
    expect(made.weights.find(({ name }) => name === 'norm')?.sources[0]?.tensor).toBe('norm.weight');
  });

  it('lists unused tensors, each with its reason', async () => {
    const tensors = listTensors(LLAMA_CONFIG);
    tensors.set('lm_head.weight', { dtype: 'BF16', shape: [300, 64] });
    tensors.set('model.layers.0.self_attn.rotary_emb.inv_freq', { dtype: 'F32', shape: [8] });
    tensors.set('model.layers.2.mlp.up_proj.weight', { dtype: 'F8_E4M3', shape: [1] });
    tensors.set('score.weight', { dtype: 'F64', shape: [1] });
    const { unusedTensors } = await plan(makeSingle(LLAMA_CONFIG, tensors));
    expect(unusedTensors.map(({ tensor }) => tensor)).toEqual([
      'lm_head.weight',
      'model.layers.0.self_attn.rotary_emb.inv_freq',
      'model.layers.2.mlp.up_proj.weight',
      'score.weight',
    ]);
    expect(unusedTensors.map(({ reason }) => reason).join('\n')).toMatch(/ties.*\n.*rope_theta.*\nbeyond.*\noutside/);
  });

  it.each([
    ['self_attn.k_scale', []],
    ['self_attn.v_scale', [1]],
    ['self_attn.attn.k_scale', []],
    ['self_attn.k_proj.k_scale', []],
    ['self_attn.v_proj.output_scale', [1]],
    ['self_attn.rotary_emb.inv_freq', [8]],
    ['self_attn.bias', [1, 1, 512, 512]],
    ['attn.masked_bias', []],
  ])('leaves out a buffer without effect inside a layer, and says why: %s %j', async (name, shape) => {
    const tensors = listTensors(LLAMA_CONFIG).set(`model.layers.1.${name}`, { dtype: 'F32', shape });
    const { unusedTensors } = await plan(makeSingle(LLAMA_CONFIG, tensors));
    expect(unusedTensors).toEqual([
      { tensor: `model.layers.1.${name}`, reason: expect.stringMatching(/FP8|buffer/u) as unknown },
    ]);
  });

  it.each([
    ['mlp.up_proj.weight_scale', []],
    ['mlp.up_proj.input_scale', []],
    ['self_attn.k_proj.weight_scale', [1]],
    ['self_attn.k_scale', [16]],
    ['self_attn.bias', [64]],
    ['self_attn.q_norm.weight', [16]],
  ])('refuses a tensor inside a layer that would change the answer: %s %j', async (name, shape) => {
    const tensors = listTensors(LLAMA_CONFIG).set(`model.layers.1.${name}`, { dtype: 'F32', shape });
    const error = await errorOf(plan(makeSingle(LLAMA_CONFIG, tensors)));
    expect(error.code).toBe('unsupported_architecture');
    expect(error.message).toContain(`model.layers.1.${name}`);
  });

  it('adds up what the cache holds, of files under way too, and summarises', async () => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG));
    const made = await plan(repository, {
      lookAtStorage: ({ weightFiles }) =>
        Promise.resolve({
          storage: usualStorage(repository.snapshot),
          statuses: [...weightFiles.map(({ path }) => path), 'tokenizer.json'].map((path) => ({
            path,
            sizeBytes: 9,
            cachedBytes: 7,
            complete: false,
          })),
        }),
      request: request('q8'),
    });
    expect(made.costs.cachedBytes).toBe(7);
    const summary = summarizePlan(made);
    expect(summary.weightCount).toBe(made.weights.length);
    expect(Object.values(summary.bytesByEncoding).reduce((a, b) => a + b)).toBe(made.costs.weightBytes);
    expect(summary).not.toHaveProperty('weights');
    expect(summary).not.toHaveProperty('caches');
  });
});

describe('refusals', () => {
  it('file_not_found: no config.json', async () => {
    const error = await errorOf(plan(makeRepository(new Map([['model.safetensors', listTensors(LLAMA_CONFIG)]]))));
    expect([error.code, error.detail.file]).toEqual(['file_not_found', 'config.json']);
  });

  it.each([['{'], ['[]'], ['null']])('config_invalid: %s', async (text) => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG), { 'config.json': text });
    expect((await errorOf(plan(repository))).code).toBe('config_invalid');
  });

  it('plans whatever generation_config.json holds: nothing in it is needed', async () => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG), { 'generation_config.json': '{' });
    expect((await plan(repository)).spec.modelType).toBe('llama');
  });

  it('unsupported_architecture lists what is supported', async () => {
    const error = await errorOf(plan(makeSingle({ ...LLAMA_CONFIG, model_type: 'mamba' }, new Map())));
    expect(error.code).toBe('unsupported_architecture');
    expect(error.detail.supported).toContain('llama');
  });

  it('no_safetensors says what else is there', async () => {
    const repository = makeRepository(new Map(), {
      'config.json': LLAMA_CONFIG,
      'pytorch_model.bin': 'x',
      'model-q4.gguf': 'x',
      'onnx/model.onnx': 'x',
    });
    const error = await errorOf(plan(repository));
    expect(error.code).toBe('no_safetensors');
    expect(error.message).toMatch(/PyTorch, GGUF, ONNX/);
  });

  it('file_not_found names every shard that the index names and the snapshot lacks', async () => {
    const repository = makeRepository(new Map(), {
      'config.json': LLAMA_CONFIG,
      'model.safetensors.index.json': { weight_map: { a: 'x-1.safetensors', b: 'x-2.safetensors' } },
    });
    const error = await errorOf(plan(repository));
    expect([error.code, error.detail.files]).toEqual(['file_not_found', ['x-1.safetensors', 'x-2.safetensors']]);
  });

  it('a 100 MB header bomb fails before it is fetched', async () => {
    const repository = makeSingle(LLAMA_CONFIG, new Map());
    const files = repository.snapshot.files.map((file) =>
      file.path === 'model.safetensors' ? { ...file, sizeBytes: 5e9 } : file,
    );
    let requestedBytes = 0;
    const error = await errorOf(
      plan(repository, {
        snapshot: { ...repository.snapshot, files },
        readRange: (_, start, end) => {
          requestedBytes += end - start;
          const bytes = new Uint8Array(end - start);
          new DataView(bytes.buffer).setBigUint64(0, 100_000_001n, true);
          return Promise.resolve(bytes);
        },
      }),
    );
    expect([error.code, error.detail.reason]).toEqual(['safetensors_invalid', 'header_too_large']);
    expect(requestedBytes).toBeLessThanOrEqual(64 * 1024);
  });

  it('tensor_missing names all of them', async () => {
    const tensors = listTensors(LLAMA_CONFIG);
    const gone = ['model.norm.weight', 'model.layers.1.mlp.up_proj.weight', 'model.layers.0.self_attn.k_proj.weight'];
    gone.forEach((name) => tensors.delete(name));
    const error = await errorOf(plan(makeSingle(LLAMA_CONFIG, tensors)));
    expect(error.code).toBe('tensor_missing');
    expect(new Set(error.detail.names as string[])).toEqual(new Set(gone));
  });

  it('tensor_shape_mismatch names all of them, with both shapes', async () => {
    const tensors = listTensors(LLAMA_CONFIG);
    tensors.set('model.norm.weight', { dtype: 'BF16', shape: [65] });
    tensors.set('model.embed_tokens.weight', { dtype: 'BF16', shape: [64, 300] });
    const error = await errorOf(plan(makeSingle(LLAMA_CONFIG, tensors)));
    expect(error.code).toBe('tensor_shape_mismatch');
    expect(error.detail.tensors).toEqual([
      { tensor: 'model.embed_tokens.weight', file: 'model.safetensors', expected: [300, 64], found: [64, 300] },
      { tensor: 'model.norm.weight', file: 'model.safetensors', expected: [64], found: [65] },
    ]);
  });

  it.each([
    ['unsupported_dtype', 'gptq', { quantization_config: { quant_method: 'gptq', bits: 4 } }],
    ['unsupported_dtype', 'mlx', { quantization: { bits: 4 }, quantization_config: { bits: 4 } }],
    ['unsupported_dtype', 'unknown', { quantization_config: { bits: 4 } }],
    ['config_invalid', undefined, { quantization_config: [4] }],
  ])(
    '%s: a checkpoint that is stored quantised (%s), before its family reads the config',
    async (code, method, more) => {
      const config = { ...LLAMA_CONFIG, ...more };
      const error = await errorOf(plan(makeSingle({ ...config, hidden_size: -1 }, listTensors(LLAMA_CONFIG))));
      expect([error.code, error.detail.field, error.detail.method]).toEqual([code, 'quantization_config', method]);
    },
  );

  it('a field for quantisation that is null says nothing', async () => {
    const config = { ...LLAMA_CONFIG, quantization_config: null };
    await expect(plan(makeSingle(config, listTensors(LLAMA_CONFIG)))).resolves.toMatchObject({ dtype: 'fp32' });
  });

  it('unsupported_dtype names needed tensors, not unused ones', async () => {
    const tensors = listTensors(LLAMA_CONFIG);
    tensors.set('model.norm.weight', { dtype: 'F64', shape: [64] });
    tensors.set('extra', { dtype: 'I8', shape: [64] });
    const error = await errorOf(plan(makeSingle(LLAMA_CONFIG, tensors)));
    expect([error.code, error.detail.tensors]).toEqual([
      'unsupported_dtype',
      [{ tensor: 'model.norm.weight', file: 'model.safetensors', dtype: 'F64' }],
    ]);
  });

  it('unsupported_architecture: a layer tensor that the graph would ignore', async () => {
    const tensors = listTensors(LLAMA_CONFIG);
    tensors.set('model.layers.0.self_attn.q_norm.weight', { dtype: 'BF16', shape: [16] });
    const error = await errorOf(plan(makeSingle(LLAMA_CONFIG, tensors)));
    expect(error.code).toBe('unsupported_architecture');
    expect(error.detail.names).toEqual(['model.layers.0.self_attn.q_norm.weight']);
  });

  it('safetensors_invalid: one tensor in two files', async () => {
    const tensors = listTensors(LLAMA_CONFIG);
    const twice = new Map([['model.norm.weight', { dtype: 'BF16', shape: [64] }]]);
    const shards = new Map([
      ['model-1-of-2.safetensors', tensors],
      ['model-2-of-2.safetensors', twice],
    ]);
    const error = await errorOf(plan(makeRepository(shards, { 'config.json': LLAMA_CONFIG })));
    expect([error.code, error.detail.reason]).toEqual(['safetensors_invalid', 'tensor_in_two_files']);
  });

  it('what is wrong with the config is said before what is wrong with the weights', async () => {
    const repository = makeSingle({ ...LLAMA_CONFIG, model_type: 'mamba' }, listTensors(LLAMA_CONFIG));
    const work = plan(repository, {
      readAll: async (path) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return repository.readAll(path);
      },
      readRange: () => Promise.resolve(new Uint8Array(5)),
    });
    expect((await errorOf(work)).code).toBe('unsupported_architecture');
  });

  it('size_mismatch: a reader that returns less', async () => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG));
    const error = await errorOf(plan(repository, { readRange: () => Promise.resolve(new Uint8Array(5)) }));
    expect(error.code).toBe('size_mismatch');
  });

  it('aborted', async () => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG));
    const controller = new AbortController();
    const work = plan(repository, {
      signal: controller.signal,
      readRange: (...range) => {
        controller.abort();
        return repository.readRange(...range);
      },
    });
    expect((await errorOf(work)).code).toBe('aborted');
  });
});
