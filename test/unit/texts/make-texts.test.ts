/**
 * When the thread that moves weights makes something of texts.
 */
import { describe, expect, test } from 'vitest';
import { LoadError } from '../../../src/contract/errors.ts';
import type { LoadPlan } from '../../../src/contract/plan.ts';
import { chooseMoment, makeTexts } from '../../../src/pipeline/texts/make-texts.ts';
import { BASE, makeSource } from './made-source.ts';

const costs = (downloadBytes: number, cachedBytes: number): Pick<LoadPlan, 'costs'> => ({
  costs: { downloadBytes, cachedBytes } as LoadPlan['costs'],
});

describe('texts are made', () => {
  test('while weights are downloaded, and where all are here, when they are on the device', () => {
    expect(chooseMoment(costs(100, 0))).toBe('fetch begun');
    expect(chooseMoment(costs(100, 99))).toBe('fetch begun');
    expect(chooseMoment(costs(100, 100))).toBe('fill ended');
  });

  test('not before the thread is free, though the files are asked for at once', async () => {
    const read: string[] = [];
    const steps: string[] = [];
    let free: () => void = () => undefined;
    const freed = new Promise<void>((resolve) => (free = resolve));
    const { signal } = new AbortController();
    const source = makeSource({ ...BASE, 'tokenizer.json': '{' }, read);
    const making = makeTexts(source, 'tokenizer.json', () => freed, signal).catch((error: unknown) => {
      steps.push('refused');
      return error;
    });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(read).toContain('tokenizer.json');
    expect(steps).toEqual([]);
    free();
    expect(await making).toBeInstanceOf(LoadError);
    expect(await making).toMatchObject({ code: 'tokenizer_invalid', stage: 'serve' });
  });
});
