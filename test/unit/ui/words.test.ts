import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ERROR_SENTENCES, LoadError, toErrorData, type ErrorCode } from '../../../src/contract/errors.ts';
import type { AdapterInfo } from '../../../src/contract/load.ts';
import { describeAdapter, listLimits } from '../../../src/ui/describe-adapter.ts';
import { adviceFor, detailsOf, specificsOf } from '../../../src/ui/error-advice.ts';
import {
  formatBinaryBytes,
  formatBytes,
  formatCount,
  formatDuration,
  formatInteger,
  formatPercent,
  formatRate,
} from '../../../src/ui/format.ts';
import { describeLoad } from '../../../src/ui/load-announcement.ts';
import { STAGE_WORDS } from '../../../src/ui/stages.ts';
import { createLoadState, reduceLoad } from '../../../src/ui/stores/load-reducer.ts';

const plain = (text: string): string => text.replaceAll('\u00a0', ' ');

describe('numbers for people', () => {
  it.each([
    [formatBytes(0), '0 B'],
    [formatBytes(999), '999 B'],
    [formatBytes(5_620_000), '5.6 MB'],
    [formatBytes(999_960), '1.0 MB'],
    [formatBytes(14.77e9), '14.8 GB'],
    [formatBinaryBytes(1024 ** 3), '1 GiB'],
    [formatBinaryBytes(32_768), '32 KiB'],
    [formatBinaryBytes(1.5 * 1024 ** 2), '1.5 MiB'],
    [formatRate(12_400_000), '12.4 MB/s'],
    [formatDuration(0), '0 ms'],
    [formatDuration(999.6), '1.00 s'],
    [formatDuration(3421), '3.42 s'],
    [formatDuration(59_996), '1 min 00 s'],
    [formatDuration(125_000), '2 min 05 s'],
    [formatCount(14_770_000_000), '14.77 B'],
    [formatCount(2_812_416), '2.81 M'],
    [formatCount(134_515_008), '135 M'],
    [formatCount(12), '12'],
    [formatInteger(151_936), '151,936'],
    [formatPercent(0.999), '99%'],
    [formatPercent(1), '100%'],
    [formatBytes(null), '–'],
    [formatDuration(Number.NaN), '–'],
    [formatRate(-1), '–'],
  ])('%s', (shown, expected) => {
    expect(plain(shown)).toBe(expected);
  });

  it('never shows a broken number', () => {
    const number = fc.oneof(fc.double(), fc.constantFrom(-0, Number.NaN, Infinity, Number.MIN_VALUE, Number.MAX_VALUE));
    fc.assert(
      fc.property(number, (value) => {
        for (const format of [formatBytes, formatBinaryBytes, formatRate, formatDuration, formatCount, formatInteger]) {
          expect(format(value)).not.toMatch(/NaN|Infinity|undefined|^-/);
        }
      }),
    );
  });
});

describe('bad news', () => {
  it('has advice for every code', () => {
    for (const code of Object.keys(ERROR_SENTENCES) as ErrorCode[]) expect(adviceFor(code)).toMatch(/\.$/);
  });

  it('tells the specifics apart from the sentence, and lists details and causes', () => {
    const cause = new LoadError('http_status', { message: 'Status 503.', cause: new TypeError('socket closed') });
    const error = new LoadError('tensor_missing', { message: 'a and b.', detail: { tensors: ['a', 'b'] }, cause });
    const data = toErrorData(error);
    expect(specificsOf(data)).toBe('a and b.');
    expect(detailsOf(data)).toContain('tensors: ["a","b"]');
    expect(detailsOf(data)).toMatch(/caused by: http_status: .*503.*\ncaused by: TypeError: socket closed/);
  });
});

describe('the adapter', () => {
  const adapter: AdapterInfo = {
    vendor: 'google',
    architecture: 'swiftshader',
    device: '',
    description: '',
    isFallbackAdapter: true,
    features: [],
    limits: { maxBufferSize: 1024 ** 3, maxStorageBuffersPerShaderStage: 10 },
  };

  it('has a name although fields are hidden', () => {
    expect(describeAdapter(adapter)).toBe('google swiftshader (software)');
    expect(describeAdapter({ ...adapter, vendor: '', architecture: '', isFallbackAdapter: false })).toBe(
      'GPU without a name',
    );
  });

  it('shows the limits that are known', () => {
    expect(listLimits(adapter).map(({ name, value }) => `${name}: ${plain(value)}`)).toEqual([
      'Largest buffer: 1 GiB',
      'Storage buffers a shader: 10',
    ]);
  });
});

describe('what a screen reader hears of a load', () => {
  it('changes with stages, not with bytes', () => {
    const begun = reduceLoad(createLoadState('loading'), { type: 'stageStart', stage: 'fetch', atMs: 0 });
    const progress = { type: 'progress', stage: 'fetch', atMs: 1, totalBytes: 9, networkBytes: 0 } as const;
    expect(describeLoad(begun)).toBe('Fetch is running.');
    expect(describeLoad(reduceLoad(begun, { ...progress, doneBytes: 5 }))).toBe('Fetch is running.');
    expect(describeLoad(reduceLoad(begun, { type: 'ready', atMs: 2 }))).toBe('The model is ready.');
  });
});

it('the shares of the stages add up to the whole iris', () => {
  expect(STAGE_WORDS.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 10);
});
