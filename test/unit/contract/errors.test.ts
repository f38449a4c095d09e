import { describe, expect, it } from 'vitest';
import { fromErrorData, isLoadError, LoadError, toErrorData } from '../../../src/contract/errors.ts';

describe('LoadError', () => {
  it('survives a structured clone with code, stage, retryable, detail and its chain of causes', () => {
    const inner = new LoadError('http_status', { stage: 'fetch', retryable: true, detail: { status: 503 } });
    const outer = new LoadError('network_unreachable', {
      message: 'Try again.',
      stage: 'fetch',
      retryable: true,
      detail: { url: 'https://example.test/a' },
      cause: new LoadError('internal', { cause: inner }),
    });
    const back = fromErrorData(structuredClone(toErrorData(outer)));
    expect(back).toBeInstanceOf(LoadError);
    expect(back.message).toBe(outer.message);
    expect(toErrorData(back)).toEqual(toErrorData(outer));
    const cause = back.cause as LoadError;
    expect((cause.cause as LoadError).detail).toEqual({ status: 503 });
  });

  it('is recognised from another copy of the module', () => {
    const foreign = Object.assign(new Error('x'), { brand: 'firstlight.LoadError', code: 'internal' });
    expect(isLoadError(foreign)).toBe(true);
    expect(isLoadError(new Error('x'))).toBe(false);
  });

  it('keeps the name of the platform convention for a cancel', () => {
    expect(new LoadError('aborted').name).toBe('AbortError');
    expect(toErrorData(new DOMException('stop', 'AbortError')).code).toBe('aborted');
  });

  it('is claimed by the first stage only', () => {
    const error = new LoadError('size_mismatch').inStage('fetch').inStage('place');
    expect(error.stage).toBe('fetch');
  });
});
