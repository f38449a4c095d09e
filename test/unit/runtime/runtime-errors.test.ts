/**
 * What the runtime and the GPU say of failures, as typed errors.
 */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { isLoadError, LoadError } from '../../../src/contract/errors.ts';
import { checkGpu, toGpuError } from '../../../src/runtime/gpu/errors.ts';
import type { GpuContext } from '../../../src/runtime/gpu/device.ts';
import { deviceLost, toRuntimeError } from '../../../src/runtime/ort/runtime-errors.ts';

describe('toRuntimeError', () => {
  it.each([
    [new Error("Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc"), 'out_of_memory'],
    [new Error("Can't create a session. failed to allocate a buffer of size 268435456."), 'out_of_memory'],
    [new RangeError('Array buffer allocation failed'), 'out_of_memory'],
    [15_728_640, 'out_of_memory'], // the address of a C++ exception
    [new Error('WebGPU device lost (unknown): the GPU process has ended'), 'device_lost'],
    [new Error('Non-zero status code returned while running MatMul node.'), 'runtime_failed'],
    ['no error at all', 'runtime_failed'],
  ])('%s is %s', (thrown, code) => {
    const error = toRuntimeError(thrown, 'running the model', null);
    expect(error.code).toBe(code);
    expect(error.cause).toBe(thrown);
    expect(error.retryable).toBe(code === 'device_lost');
    if (code !== 'device_lost') expect(error.message).toContain('While running the model');
  });

  it('what is typed stays as it is; a device that is known to be lost explains everything else', () => {
    const typed = new LoadError('aborted');
    expect(toRuntimeError(typed, 'running', 'lost')).toBe(typed);
    const error = toRuntimeError(new Error('std::bad_alloc'), 'running', 'the driver was reset');
    expect([error.code, error.message.includes('the driver was reset')]).toEqual(['device_lost', true]);
  });
});

/** What stands for a device here: what it has said since it was last asked. */
interface Said {
  lost?: string;
  error?: GPUError;
}

const makeGpu = (said: Said): GpuContext =>
  ({
    ledger: { totals: () => ({ liveBytes: 30, peakBytes: 40, liveBuffers: 2 }) },
    lostReason: () => said.lost ?? null,
    takeError: () => {
      const { error } = said;
      delete said.error;
      return error ?? null;
    },
  }) as unknown as GpuContext;

class SaidError extends Error {}
class SaidOutOfMemory extends SaidError {}
// Node has no WebGPU.
beforeEach(() => void vi.stubGlobal('GPUOutOfMemoryError', SaidOutOfMemory));

const codeOf = (work: () => void): string | null => {
  try {
    work();
    return null;
  } catch (error) {
    return isLoadError(error) ? error.code : String(error);
  }
};

describe('checkGpu', () => {
  it('passes where the device has said nothing, and says each thing once', () => {
    const said: Said = { error: new SaidError('bind group is invalid') };
    const gpu = makeGpu(said);
    expect(() => checkGpu(gpu, 'running the model')).toThrow(/While running the model.*bind group is invalid/u);
    expect(codeOf(() => checkGpu(gpu, 'running the model'))).toBeNull();
  });

  it('tells what was in use where there was no room, and goes by the loss where there is one', () => {
    const said: Said = { error: new SaidOutOfMemory('no room') };
    const gpu = makeGpu(said);
    expect(() => checkGpu(gpu, 'growing')).toThrow(/30 bytes in 2 buffers/u);
    Object.assign(said, { lost: 'reset', error: new SaidOutOfMemory('no room') });
    expect(codeOf(() => checkGpu(gpu, 'growing'))).toBe('device_lost');
  });
});

describe('toGpuError', () => {
  it('goes by what the device says, though it says it only after the run has failed', async () => {
    const said: Said = {};
    const error = toGpuError(new Error('mapAsync failed'), 'running the model', makeGpu(said));
    said.error = new SaidOutOfMemory('no room');
    expect((await error).code).toBe('out_of_memory');
  });

  it('goes by what the runtime threw where the device is silent, and leaves what is typed as it is', async () => {
    const thrown = await toGpuError(new Error('broken'), 'running the model', makeGpu({}));
    expect([thrown.code, thrown.message.includes('broken')]).toEqual(['runtime_failed', true]);
    const lost = deviceLost('gone');
    expect(await toGpuError(lost, 'running the model', makeGpu({ error: new SaidError('other') }))).toBe(lost);
  });
});
