import { listDecoderCaches } from '../../../src/blueprints/decoder-weights.ts';
import { type FlatSpec, unflatten } from '../blueprints/support/flat-spec.ts';
import { describe, expect, it } from 'vitest';
import type { Device, Dtype } from '../../../src/contract/plan.ts';
import { chooseContext } from '../../../src/pipeline/plan/choose-context.ts';
import { chooseDevice, chooseDtype } from '../../../src/pipeline/plan/choose.ts';
import { type DeviceLimits, readDeviceLimits } from '../../../src/pipeline/plan/device-limits.ts';
import type { MemoryCeiling } from '../../../src/pipeline/plan/memory-ceiling.ts';
import { sizeModel } from '../../../src/pipeline/plan/size-model.ts';
import { ADAPTER, errorOf } from './made-repository.ts';

const MIB = 2 ** 20;
const GPU: DeviceLimits = { maxBufferBytes: 2 ** 31, simulated: false, hasFloat16: false, isSoftware: false };

const SHAPE: FlatSpec = {
  modelType: 'llama',
  vocabSize: 32_000,
  hiddenSize: 1024,
  intermediateSize: 4096,
  layerCount: 8,
  headCount: 16,
  kvHeadCount: 4,
  headDim: 64,
  paddedHeadDim: 64,
  rmsNormEpsilon: 1e-6,
  tiedEmbeddings: true,
  qkvBias: false,
  attentionOutputBias: false,
  mlpBias: false,
  hasQueryKeyNorm: false,
  rotary: { theta: 10_000, scaling: { type: 'none' } },
  maxContextTokens: 131_072,
};

/** A model of so many parameters, in matrices with rows of 1,024. */
const sizing = (
  parameters: number,
  limits: DeviceLimits | null,
  device: Device,
  requestedContextTokens = 512,
  shape = SHAPE,
  ceiling: MemoryCeiling | null = null,
) => {
  const input = {
    spec: unflatten(shape),
    limits,
    requestedContext: requestedContextTokens,
    conversations: 2,
    ceiling,
    listWeights: () => [
      {
        name: 'embed',
        role: 'matmul' as const,
        rows: Math.ceil(parameters / 1024),
        cols: 1024,
        sources: [],
        computed: null,
        layer: null,
      },
    ],
    listCaches: listDecoderCaches,
  };
  return (dtype: Dtype) => sizeModel(input, device, dtype);
};

/** The choice for a model of so many parameters. */
const choose = (
  requested: Dtype | 'auto',
  parameters: number,
  device: Device = 'webgpu',
  limits: DeviceLimits | null = GPU,
) => chooseDtype({ requested, device, sizeOf: sizing(parameters, limits, device), elsewhere: null });

const thrown = (act: () => unknown): ReturnType<typeof errorOf> => errorOf(Promise.resolve().then(act));

describe('chooseDevice', () => {
  it('takes the GPU where there is one', () => {
    expect(chooseDevice('auto', GPU).value).toBe('webgpu');
    expect(chooseDevice('auto', null).value).toBe('wasm');
    expect(chooseDevice('wasm', GPU).value).toBe('wasm');
  });

  it('takes WebAssembly where the GPU is software, unless WebGPU is asked for', () => {
    const software = { ...GPU, isSoftware: true };
    expect(chooseDevice('auto', software)).toEqual({
      value: 'wasm',
      reason: expect.stringMatching(/^The GPU of this browser is emulated on the CPU/u) as unknown,
    });
    expect(chooseDevice('webgpu', software)).toEqual({ value: 'webgpu', reason: 'As requested.' });
  });

  it('says why there is no adapter, to the plan or in no_adapter', async () => {
    expect(chooseDevice('auto', null, 'Its driver is blocked.').reason).toBe('Its driver is blocked.');
    const error = await thrown(() => chooseDevice('webgpu', null, 'Its driver is blocked.'));
    expect(error.code).toBe('no_adapter');
    expect(error.message).toContain('Its driver is blocked.');
  });

  it('invalid_argument', async () => {
    expect((await thrown(() => chooseDevice('npu' as never, GPU))).code).toBe('invalid_argument');
  });

  it('reads the binding limit, and what WebGPU grants everywhere', () => {
    expect(readDeviceLimits(ADAPTER)).toEqual(GPU);
    expect(readDeviceLimits({ ...ADAPTER, limits: {}, features: ['shader-f16'] })).toEqual({
      maxBufferBytes: 128 * MIB,
      simulated: false,
      hasFloat16: true,
      isSoftware: false,
    });
    expect(readDeviceLimits(null)).toBeNull();
  });

  it('takes smaller limits that were asked for, and no larger ones', async () => {
    expect(readDeviceLimits(ADAPTER, { maxBufferBytes: 32 * MIB })).toMatchObject({
      maxBufferBytes: 32 * MIB,
      simulated: true,
    });
    expect(readDeviceLimits(ADAPTER, { maxBufferBytes: 2 ** 40 })).toMatchObject({
      maxBufferBytes: 2 ** 31,
      simulated: false,
    });
    for (const maxBufferBytes of [0, -1, 0.5, NaN, '1' as never]) {
      expect((await thrown(() => readDeviceLimits(ADAPTER, { maxBufferBytes }))).code).toBe('invalid_argument');
    }
  });
});

describe('chooseContext', () => {
  const plenty = { tokens: 1_000_000, cause: 'none', unaskedTokens: Infinity };
  const choose = (...args: Parameters<typeof chooseContext>) => {
    const { context, maxContextTokens } = chooseContext(...args);
    return { reserved: context.value, max: maxContextTokens, reason: context.reason };
  };

  it.each([
    [null, 32_768, 2048, 32_768, /Enough for most conversations; it grows by itself up to 32768/],
    [null, 512, 512, 512, /checkpoint/],
    [100, 32_768, 100, 100, /^As requested\.$/],
    [4096, 32_768, 4096, 4096, /^As requested\.$/],
    [100_000, 32_768, 32_768, 32_768, /checkpoint/],
    [{ reserve: 64 }, 32_768, 64, 32_768, /As requested; it grows by itself up to 32768/],
    [{ reserve: 64, max: 512 }, 32_768, 64, 512, /As requested; it grows by itself up to 512/],
    [{ max: 1000 }, 32_768, 1000, 1000, /^As requested\.$/],
    [{ max: 4096 }, 32_768, 2048, 4096, /it grows by itself up to 4096/],
    [{ max: 100_000 }, 32_768, 2048, 32_768, /it grows by itself up to 32768/],
    [{}, 32_768, 2048, 32_768, /it grows/],
  ])('asked %j of %i: %i, up to %i', (requested, checkpoint, reserved, max, reason) => {
    expect(choose(requested, checkpoint, plenty)).toEqual({
      reserved,
      max,
      reason: expect.stringMatching(reason) as unknown,
    });
  });

  it('says what shortens it, and grows no further than the device binds', () => {
    const bounds = { tokens: 32_768, cause: 'the buffer is full', unaskedTokens: Infinity };
    expect(choose(100_000, 131_072, bounds)).toEqual({
      reserved: 32_768,
      max: 32_768,
      reason: 'Shortened from 100000 tokens: the buffer is full.',
    });
    expect(choose(null, 131_072, bounds)).toMatchObject({ reserved: 2048, max: 32_768 });
    expect(choose(10, 10, { ...bounds, tokens: -5 })).toMatchObject({ reserved: 1, max: 1 });
  });

  it('takes no more than is usual unasked, and says that more may be asked for', () => {
    const bounds = { ...plenty, unaskedTokens: 1024 };
    expect(choose(null, 32_768, bounds)).toMatchObject({ reserved: 1024, max: 1024 });
    expect(choose(null, 32_768, bounds).reason).toMatch(/up to 32768 may be asked for/);
    expect(choose({ max: 8192 }, 32_768, bounds)).toMatchObject({ reserved: 2048, max: 8192 });
    expect(choose(4096, 32_768, bounds)).toMatchObject({ reserved: 4096, max: 4096 });
  });

  it.each([0, -1, 1.5, NaN, { reserve: 0 }, { max: 0.5 }, { reserve: 100, max: 99 }])(
    'invalid_argument: %j',
    async (requested) => {
      expect((await thrown(() => chooseContext(requested, 512, plenty))).code).toBe('invalid_argument');
    },
  );
});

describe('sizeModel', () => {
  it('keeps one layer of the cache within one buffer, and says how long it could be', () => {
    const small = { ...GPU, maxBufferBytes: 4 * MIB, hasFloat16: true };
    const fp32 = sizing(1e6, small, 'webgpu', 100_000)('fp32');
    expect(fp32.context.value).toBe((4 * MIB) / (4 * 64 * 4)); // 4 heads of 64 floats a token
    expect(fp32.context.reason).toMatch(/Shortened from 100000 tokens: one layer's keys take 1024 bytes a token/);
    expect(fp32.longestContextTokens).toBe(4096);
    expect(fp32.kvCacheBytes).toBe(2 * 8 * 4 * MIB);
    expect(sizing(1e6, small, 'webgpu', 100)('fp16').longestContextTokens).toBe(8192);
    expect(sizing(1e6, GPU, 'webgpu', 100)('fp32').longestContextTokens).toBe(131_072);
  });

  it('splits what is too large, and finds nothing against it', () => {
    const size = sizing(494e6, { ...GPU, maxBufferBytes: 32 * MIB }, 'webgpu')('q8');
    const [weight] = size.weights;
    expect(weight?.layouts.length).toBe(Math.ceil(494e6 / (32 * MIB)));
    expect(size.weightBytes).toBe(Math.ceil(494e6 / 1024) * 32 * 36);
    expect(size.scaleBytes).toBe(Math.ceil(494e6 / 1024) * 32 * 4);
    expect(size.obstacle).toBeNull();
  });

  it('a row that does not fit cannot be split', () => {
    const { obstacle } = sizing(1e6, { ...GPU, maxBufferBytes: 1000 }, 'webgpu')('q8');
    expect(obstacle).toMatchObject({ limitBytes: 1000 });
    expect(obstacle?.sentence).toMatch(/no split makes small enough: embed.blocks/);
  });

  it('a cache of too few tokens is none', () => {
    const { obstacle } = sizing(1e6, { ...GPU, maxBufferBytes: 60_000 }, 'webgpu')('q8');
    expect(obstacle).toMatchObject({ neededBytes: 64 * 1024, limitBytes: 60_000 });
  });

  it('on WebAssembly, shortens the context to what the weights leave', () => {
    const size = sizing(3.5 * 2 ** 30 - 256 * MIB, null, 'wasm', 100_000);
    const q8 = size('q8').weightBytes;
    expect(size('q8').obstacle?.neededBytes).toBeGreaterThan(q8);
    const q4 = size('q4');
    expect(q4.context.value).toBe(Math.floor((3.5 * 2 ** 30 - q4.weightBytes) / q4.kvBytesPerToken));
    expect(q4.context.reason).toMatch(/WebAssembly/);
  });

  it('on WebAssembly, splits only what its allocator would refuse', () => {
    const half = sizing(2 ** 29 - 2 ** 15, null, 'wasm')('fp32'); // just below 2 GiB
    expect(half.weights[0]?.layouts.length).toBe(1);
    expect(sizing(2 ** 29, null, 'wasm')('fp32').weights[0]?.layouts.length).toBe(2);
  });
});

describe('chooseDtype', () => {
  it.each<[number, Dtype]>([
    [10e6, 'fp32'],
    [135e6, 'q8'],
    [494e6, 'q8'],
    [1.7e9, 'q4'],
  ])('auto for %d parameters: %s', (parameters, expected) => {
    const choice = choose('auto', parameters);
    expect(choice.value).toBe(expected);
    expect(choice.reason).toMatch(/MB/);
  });

  it('auto takes less where the wanted one does not fit, and says so', () => {
    const small = { ...GPU, maxBufferBytes: 3_000 }; // a row takes 4,096 bytes in fp32, 1,024 in q8
    const sizeOf = sizing(1e6, small, 'webgpu', 2, { ...SHAPE, maxContextTokens: 2 });
    const choice = chooseDtype({ requested: 'auto', device: 'webgpu', sizeOf, elsewhere: null });
    expect(choice.value).toBe('q8');
    expect(choice.reason).toBe('In fp32 it would not fit this device; q8 is the next that does.'); // q4 fits, too
  });

  it.each<[number, Dtype]>([
    [10e6, 'fp32'],
    [135e6, 'q8'], // fp16 would take twice as much
    [1.7e9, 'q4f16'],
  ])('auto on a GPU with float16, for %d parameters: %s', (parameters, expected) => {
    const choice = choose('auto', parameters, 'webgpu', { ...GPU, hasFloat16: true });
    expect(choice.value).toBe(expected);
    expect(choice.reason).toMatch(expected === 'q4f16' ? /takes 956 MB\. This GPU computes in float16/ : /MB/);
  });

  it('auto takes q4 where the GPU has no float16, though q4f16 is preferred', () => {
    const cramped = { ...GPU, maxBufferBytes: 600 }; // a row takes 1,024 bytes in q8, 512 in 4 bits
    const choiceOf = (hasFloat16: boolean): Dtype => {
      const sizeOf = sizing(1e6, { ...cramped, hasFloat16 }, 'webgpu', 1, {
        ...SHAPE,
        kvHeadCount: 1,
        maxContextTokens: 1,
      });
      return chooseDtype({ requested: 'auto', device: 'webgpu', sizeOf, elsewhere: null }).value;
    };
    expect([choiceOf(true), choiceOf(false)]).toEqual(['q4f16', 'q4']);
  });

  it('does_not_fit names numbers and alternatives, here and elsewhere', async () => {
    const question = {
      requested: 'fp32',
      device: 'wasm',
      sizeOf: sizing(1e9, null, 'wasm'),
      elsewhere: { device: 'webgpu', sizeOf: sizing(1e9, GPU, 'webgpu') },
    } as const;
    const error = await thrown(() => chooseDtype(question));
    expect(error.code).toBe('does_not_fit');
    expect(error.message).toMatch(/These dtypes would fit: q8, q4\. On the device "webgpu" fp32, q8, q4 would fit\./);
    expect(error.detail).toMatchObject({
      limitBytes: 3.5 * 2 ** 30,
      weightBytes: Math.ceil(1e9 / 1024) * 4096,
      alternatives: ['q8', 'q4'],
      elsewhere: { device: 'webgpu', alternatives: ['fp32', 'q8', 'q4'] },
    });
    expect(error.detail.neededBytes).toBeGreaterThan(4e9);
    const hopeless = await thrown(() => choose('auto', 1e10, 'wasm', null));
    expect(hopeless.detail.alternatives).toEqual([]);
    expect(hopeless.message).toMatch(/No dtype/);
  });

  it('counts all weights and the KV cache on WebAssembly', async () => {
    expect(choose('q8', 3e9, 'wasm', null).value).toBe('q8');
    const error = await thrown(() => choose('q8', 4e9, 'wasm', null));
    expect([error.code, error.detail.alternatives]).toEqual(['does_not_fit', ['q4']]);
  });

  it('float16 needs the GPU feature', async () => {
    expect(choose('fp16', 1e6, 'webgpu', { ...GPU, hasFloat16: true }).value).toBe('fp16');
    for (const [device, limits] of [
      ['webgpu', GPU],
      ['wasm', null],
    ] as const) {
      const error = await thrown(() => choose('q4f16', 1e6, device, limits));
      expect([error.code, error.detail.available]).toEqual(['unsupported_dtype', ['fp32', 'q8', 'q4']]);
    }
  });

  it('invalid_argument', async () => {
    expect((await thrown(() => choose('int8' as never, 1e6))).code).toBe('invalid_argument');
  });
});
