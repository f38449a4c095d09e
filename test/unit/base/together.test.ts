import { describe, expect, it } from 'vitest';
import { raceAbort } from '../../../src/base/abort.ts';
import { runBeside } from '../../../src/base/together.ts';

const never = new Promise<never>(() => undefined);
const signal = new AbortController().signal;

describe('runBeside', () => {
  it('gives the result of the one to the other', async () => {
    const result = await runBeside(signal, async () => 20, async (side) => (await side) + 1); // prettier-ignore
    expect(result).toBe(21);
  });

  it('a side that fails ends the main work, and its failure is the one that is thrown', async () => {
    const ended: string[] = [];
    const running = runBeside(
      signal,
      async () => Promise.reject(new Error('side')),
      async (_, either) => {
        try {
          await raceAbort(never, either);
        } finally {
          ended.push('main');
        }
      },
    );
    await expect(running).rejects.toThrow('side');
    expect(ended).toEqual(['main']);
  });

  it('main work that fails ends the side', async () => {
    const ended: string[] = [];
    const running = runBeside(
      signal,
      async (either) => raceAbort(never, either).finally(() => ended.push('side')),
      async () => Promise.reject(new Error('main')),
    );
    await expect(running).rejects.toThrow('main');
    expect(ended).toEqual(['side']);
  });

  it('main work that needs the side last gives back what it has made', async () => {
    const given: string[] = [];
    let fail: (error: Error) => void = () => undefined;
    const running = runBeside(
      signal,
      async () => new Promise<never>((_, reject) => (fail = reject)),
      async (side) => {
        try {
          setTimeout(() => fail(new Error('late')));
          await side;
        } finally {
          given.push('back');
        }
      },
    );
    await expect(running).rejects.toThrow('late');
    expect(given).toEqual(['back']);
  });
});
