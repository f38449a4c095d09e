/**
 * Cancel in every stage and in mid-generation: the call rejects with `aborted`, nothing stays locked or running, and the
 * same load then succeeds.
 */
import type { Page } from '@playwright/test';
import { STAGES } from '../../src/contract/errors.ts';
import type { Stage } from '../../src/contract/errors.ts';
import { bundledModelId, expect, test } from './support.ts';

for (const device of ['webgpu', 'wasm'] as const) {
  test(`cancel in each stage on ${device}, then load`, async ({ app }) => {
    const id = await bundledModelId(app);
    for (const stage of STAGES) {
      const outcome = await cancelIn(app, id, device, stage);
      // A cancel that comes with the last step of the last stage may come too late: then the load has succeeded.
      if (stage === 'serve' && outcome.code === 'loaded') expect(outcome.last).toBe('ready');
      else expect(outcome, stage).toMatchObject({ code: 'aborted', name: 'AbortError', last: 'cancelled' });
      expect(outcome.left, `locks after a cancel in ${stage}`).toEqual([]);
    }
    const tokens = await app.evaluate(
      async ([modelId, on]) => {
        const model = await window.firstlight.createLoader().load(modelId, { device: on, dtype: 'q8' });
        let count = 0;
        for await (const _ of model.generate('Once upon a time', { max_new_tokens: 3, do_sample: false })) count++;
        await model.dispose();
        return count;
      },
      [id, device] as const,
    );
    expect(tokens).toBe(3);
  });

  test(`cancel a generation on ${device}: within a token, and the next one is not disturbed`, async ({ app }) => {
    const id = await bundledModelId(app);
    const outcome = await app.evaluate(
      async ([modelId, on]) => {
        const { createLoader, isLoadError } = window.firstlight;
        const model = await createLoader().load(modelId, { device: on, dtype: 'q8' });
        const greedy = async (): Promise<number[]> => {
          const ids: number[] = [];
          for await (const { id: token } of model.generate('Once upon a time', {
            max_new_tokens: 12,
            do_sample: false,
          })) {
            ids.push(token);
          }
          return ids;
        };
        const before = await greedy();
        const controller = new AbortController();
        let count = 0;
        let code = 'none';
        try {
          for await (const _ of model.generate('There was a dog', { max_new_tokens: 200, signal: controller.signal })) {
            if (++count === 4) controller.abort();
          }
        } catch (error) {
          code = isLoadError(error) ? error.code : String(error);
        }
        for await (const _ of model.generate('There was a cat', { max_new_tokens: 200 })) break;
        const after = await greedy();
        await model.dispose();
        return { code, count, same: JSON.stringify(before) === JSON.stringify(after) };
      },
      [id, device] as const,
    );
    expect(outcome.code).toBe('aborted');
    expect(outcome.count).toBeLessThanOrEqual(8);
    expect(outcome.same).toBe(true);
  });
}

/** Cancels a load the moment a stage begins; yields what the load said, and the locks that are still held soon after. */
async function cancelIn(
  page: Page,
  id: string,
  device: 'webgpu' | 'wasm',
  stage: Stage,
): Promise<{ code: string; name: string; last: string | undefined; left: string[] }> {
  return page.evaluate(
    async ([modelId, on, at]) => {
      const { createLoader, isLoadError } = window.firstlight;
      const controller = new AbortController();
      const types: string[] = [];
      const loading = createLoader().load(modelId, {
        device: on,
        dtype: 'q8',
        signal: controller.signal,
        onProgress: (event) => {
          types.push(event.type);
          if (event.type === 'stageStart' && event.stage === at) controller.abort();
        },
      });
      const error: unknown = await loading.then(
        (model) => model.dispose(),
        (reason: unknown) => reason,
      );
      // The last model's end ends the worker; what it held is free as soon as the browser has cleaned up.
      const held = async (): Promise<string[]> => {
        const { held: locks = [] } = await navigator.locks.query();
        return locks.map((lock) => lock.name ?? '').filter((lock) => lock.startsWith('firstlight:'));
      };
      let left = await held();
      for (let wait = 0; wait < 50 && left.length > 0; wait++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        left = await held();
      }
      return {
        code: isLoadError(error) ? error.code : 'loaded',
        name: error instanceof Error ? error.name : '',
        last: types.at(-1),
        left,
      };
    },
    [id, device, stage] as const,
  );
}
