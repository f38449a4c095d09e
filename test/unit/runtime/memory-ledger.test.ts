/**
 * The account of a device's buffers, over a device that makes none.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryLedger } from '../../../src/runtime/gpu/memory-ledger.ts';

/** What the ledger uses of a device. */
class FakeDevice {
  destroyed = false;
  lose: () => void = () => undefined;
  readonly lost = new Promise<unknown>((resolve) => (this.lose = () => resolve(undefined)));
  createBuffer({ size }: { readonly size: number }): { readonly size: number; destroy(): void } {
    return { size, destroy: () => undefined };
  }
  destroy(): void {
    this.destroyed = true;
  }
}

const open = (): { device: FakeDevice; gpu: GPUDevice; ledger: MemoryLedger } => {
  const device = new FakeDevice();
  const gpu = device as unknown as GPUDevice;
  return { device, gpu, ledger: new MemoryLedger(gpu) };
};

const descriptor = (size: number): GPUBufferDescriptor => ({ size, usage: 0 });

describe('MemoryLedger', () => {
  it('books what it makes under its purpose, and what others make on the device as the runtime’s', () => {
    const { gpu, ledger } = open();
    ledger.createBuffer('weights', descriptor(100));
    ledger.createBuffer('kvCache', descriptor(20));
    gpu.createBuffer(descriptor(3));
    expect(ledger.totals()).toEqual({
      liveBytes: 123,
      peakBytes: 123,
      liveBuffers: 3,
      liveBytesByPurpose: { weights: 100, kvCache: 20, staging: 0, runtime: 3 },
    });
  });

  it('is right after any buffers were made and destroyed, some of them twice', () => {
    const purpose = fc.constantFrom('weights', 'kvCache', 'staging', 'runtime');
    const act = fc.oneof(fc.record({ purpose, size: fc.nat(1000) }), fc.record({ destroy: fc.nat(20) }));
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const { gpu, ledger } = open();
        const made: { buffer: GPUBuffer; purpose: string; live: boolean }[] = [];
        const liveOf = (wanted?: string): number =>
          made.reduce(
            (sum, one) => sum + (one.live && (wanted ?? one.purpose) === one.purpose ? one.buffer.size : 0),
            0,
          );
        let peak = 0;
        for (const one of acts) {
          if ('destroy' in one) {
            const entry = made[one.destroy];
            entry?.buffer.destroy();
            if (entry) entry.live = false;
          } else {
            const asked = descriptor(one.size);
            const buffer =
              one.purpose === 'runtime' ? gpu.createBuffer(asked) : ledger.createBuffer(one.purpose, asked);
            made.push({ buffer, purpose: one.purpose, live: true });
          }
          peak = Math.max(peak, liveOf());
        }
        const { liveBytes, peakBytes, liveBuffers, liveBytesByPurpose } = ledger.totals();
        expect([liveBytes, peakBytes, liveBuffers]).toEqual([liveOf(), peak, made.filter(({ live }) => live).length]);
        for (const [name, bytes] of Object.entries(liveBytesByPurpose)) expect(bytes).toBe(liveOf(name));
      }),
    );
  });

  it('peaks of a purpose begin anew from what lives; the peak of all stays', () => {
    const { gpu, ledger } = open();
    const kept = gpu.createBuffer(descriptor(10));
    gpu.createBuffer(descriptor(500)).destroy();
    expect(ledger.peakBytesOf('runtime')).toBe(510);
    ledger.restartPeaks();
    expect(ledger.peakBytesOf('runtime')).toBe(10);
    gpu.createBuffer(descriptor(30)).destroy();
    kept.destroy();
    expect(ledger.peakBytesOf('runtime')).toBe(40);
    expect(ledger.totals()).toMatchObject({ peakBytes: 510, liveBytes: 0 });
  });

  it.each([
    ['destroyed', (_device: FakeDevice, gpu: GPUDevice) => gpu.destroy()],
    ['lost', (device: FakeDevice) => device.lose()],
  ])(
    'a device that is %s takes all its buffers: nothing lives, and what comes later does not count',
    async (_how, end) => {
      const { device, gpu, ledger } = open();
      const buffer = ledger.createBuffer('weights', descriptor(100));
      end(device, gpu);
      await Promise.resolve();
      buffer.destroy();
      gpu.createBuffer(descriptor(5));
      const none = { weights: 0, kvCache: 0, staging: 0, runtime: 0 };
      expect(ledger.totals()).toEqual({ liveBytes: 0, peakBytes: 100, liveBuffers: 0, liveBytesByPurpose: none });
    },
  );

  it('a buffer that cannot be made is in no account, and the next is booked where it belongs', () => {
    const device = new FakeDevice();
    const create = device.createBuffer.bind(device);
    let fails = true;
    device.createBuffer = (asked) => {
      if (fails) throw new TypeError('refused');
      return create(asked);
    };
    const gpu = device as unknown as GPUDevice;
    const ledger = new MemoryLedger(gpu);
    expect(() => ledger.createBuffer('weights', descriptor(1))).toThrow('refused');
    fails = false;
    gpu.createBuffer(descriptor(2));
    expect(ledger.totals()).toMatchObject({ liveBuffers: 1, liveBytesByPurpose: { weights: 0, runtime: 2 } });
  });
});
