import { describe, expect, it } from 'vitest';
import type { Dtype } from '../../../src/contract/plan.ts';
import { chooseContextTokens, chooseDevice, chooseDtype, type DtypeCost } from '../../../src/pipeline/plan/choose.ts';
import { readDeviceLimits } from '../../../src/pipeline/plan/device-limits.ts';
import { ADAPTER, errorOf } from './made-repository.ts';

const MIB = 2 ** 20;
const GPU = { maxBufferBytes: 2 ** 31, hasFloat16: false };

/** A model of so many parameters, the largest tensor a tenth of it. */
const model =
  (parameters: number) =>
  (dtype: Dtype): DtypeCost => {
    const bytes = { fp32: 4, fp16: 2, q8: 1.125, q4: 0.625, q4f16: 0.5625 }[dtype] * parameters;
    return { weightBytes: bytes, largestBufferBytes: bytes / 10, kvCacheBytes: 10 * MIB };
  };

const thrown = (act: () => unknown): ReturnType<typeof errorOf> => errorOf(Promise.resolve().then(act));

describe('chooseDevice', () => {
  it('takes the GPU where there is one', () => {
    expect(chooseDevice('auto', GPU).value).toBe('webgpu');
    expect(chooseDevice('auto', null).value).toBe('wasm');
    expect(chooseDevice('wasm', GPU).value).toBe('wasm');
  });

  it('no_adapter: WebAssembly was refused', async () => {
    expect((await thrown(() => chooseDevice('webgpu', null))).code).toBe('no_adapter');
  });

  it('invalid_argument', async () => {
    expect((await thrown(() => chooseDevice('npu' as never, GPU))).code).toBe('invalid_argument');
  });

  it('reads the binding limit, and what WebGPU grants everywhere', () => {
    expect(readDeviceLimits(ADAPTER)).toEqual({ maxBufferBytes: 2 ** 31, hasFloat16: false });
    expect(readDeviceLimits({ ...ADAPTER, limits: {}, features: ['shader-f16'] })).toEqual({
      maxBufferBytes: 128 * MIB,
      hasFloat16: true,
    });
    expect(readDeviceLimits(null)).toBeNull();
  });
});

describe('chooseContextTokens', () => {
  it.each([
    [null, 32_768, 2048],
    [null, 512, 512],
    [100, 32_768, 100],
    [4096, 32_768, 4096],
    [100_000, 32_768, 32_768],
  ])('asked %s of %i: %i', (requested, max, expected) => {
    expect(chooseContextTokens(requested, max, 1024, GPU)).toBe(expected);
  });

  it('keeps one layer within one buffer', () => {
    expect(chooseContextTokens(100_000, 131_072, 4096, { ...GPU, maxBufferBytes: 128 * MIB })).toBe(32_768);
    expect(chooseContextTokens(100_000, 131_072, 4096, null)).toBe(100_000);
  });

  it.each([0, -1, 1.5, NaN])('invalid_argument: %s', async (requested) => {
    expect((await thrown(() => chooseContextTokens(requested, 512, 1024, GPU))).code).toBe('invalid_argument');
  });
});

describe('chooseDtype', () => {
  it.each<[number, Dtype]>([
    [10e6, 'fp32'],
    [135e6, 'q8'],
    [494e6, 'q8'],
    [1.7e9, 'q4'],
  ])('auto for %d parameters: %s', (parameters, expected) => {
    const choice = chooseDtype('auto', 'webgpu', GPU, model(parameters));
    expect(choice.value).toBe(expected);
    expect(choice.reason).toMatch(/MiB/);
  });

  it('auto takes less where the wanted one does not fit, and says so', () => {
    const small = { ...GPU, maxBufferBytes: 40 * MIB };
    const choice = chooseDtype('auto', 'webgpu', small, model(494e6));
    expect(choice.value).toBe('q4');
    expect(choice.reason).toMatch(/only q4 fits/);
  });

  it('does_not_fit names numbers and alternatives', async () => {
    const small = { ...GPU, maxBufferBytes: 40 * MIB };
    const error = await thrown(() => chooseDtype('fp32', 'webgpu', small, model(494e6)));
    expect(error.code).toBe('does_not_fit');
    expect(error.detail).toMatchObject({ limitBytes: 40 * MIB, neededBytes: 494e6 * 0.4, alternatives: ['q4'] });
    const hopeless = await thrown(() => chooseDtype('auto', 'webgpu', { ...GPU, maxBufferBytes: MIB }, model(494e6)));
    expect(hopeless.detail.alternatives).toEqual([]);
  });

  it('counts all weights and the KV cache on WebAssembly', async () => {
    expect(chooseDtype('q8', 'wasm', null, model(3e9)).value).toBe('q8');
    const error = await thrown(() => chooseDtype('q8', 'wasm', null, model(4e9)));
    expect([error.code, error.detail.alternatives]).toEqual(['does_not_fit', ['q4']]);
  });

  it('float16 needs the GPU feature', async () => {
    expect(chooseDtype('fp16', 'webgpu', { ...GPU, hasFloat16: true }, model(1e6)).value).toBe('fp16');
    for (const [device, limits] of [
      ['webgpu', GPU],
      ['wasm', null],
    ] as const) {
      const error = await thrown(() => chooseDtype('q4f16', device, limits, model(1e6)));
      expect([error.code, error.detail.available]).toEqual(['unsupported_dtype', ['fp32', 'q8', 'q4']]);
    }
  });

  it('invalid_argument', async () => {
    expect((await thrown(() => chooseDtype('int8' as never, 'webgpu', GPU, model(1e6)))).code).toBe('invalid_argument');
  });
});
