import { describe, expect, it } from 'vitest';
import { cleanUpAfter, runThenCleanUp } from '../../../src/base/clean-up.ts';

const first = new Error('the work');
const second = new Error('the clean-up');
const failLater = (error: Error) => (): Promise<never> => Promise.reject(error);
const failNow = (error: Error) => (): never => {
  throw error;
};

describe('a clean-up never hides what went wrong', () => {
  it('the error of the work is thrown, whether the clean-up throws at once or later', async () => {
    for (const work of [failLater(first), failNow(first)]) {
      for (const cleanUp of [failLater(second), failNow(second)]) {
        await expect(runThenCleanUp(work, cleanUp)).rejects.toBe(first);
        expect(await cleanUpAfter(first, cleanUp)).toBe(first);
      }
    }
  });

  it('runs once, after the work, and is waited for', async () => {
    for (const work of [async () => 'done', failLater(first)]) {
      const steps: string[] = [];
      const outcome = runThenCleanUp(
        () => work().finally(() => steps.push('work')),
        async () => {
          await Promise.resolve();
          steps.push('clean-up');
        },
      );
      await outcome.catch(() => undefined);
      expect(steps).toEqual(['work', 'clean-up']);
    }
  });

  it('is told of where it is all that failed', async () => {
    await expect(runThenCleanUp(async () => 'done', failLater(second))).rejects.toBe(second);
    expect(
      await runThenCleanUp(
        async () => 'done',
        async () => 'ignored',
      ),
    ).toBe('done');
  });
});
