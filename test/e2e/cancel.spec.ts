/**
 * Cancel in every stage and in mid-generation: the call rejects with `aborted`, nothing stays locked or running, and the
 * same load then succeeds.
 */
import type { JSHandle, Page } from '@playwright/test';
import { STAGES } from '../../src/contract/errors.ts';
import type { Stage } from '../../src/contract/errors.ts';
import type { Model } from '../../src/index.ts';
import type { Hub } from '../hub/index.ts';
import { checkpointFolder, expect, test } from './support.ts';

const PROMPT = [1, 17, 201, 45, 99, 3, 150];

for (const device of ['webgpu', 'wasm'] as const) {
  const source = async (openHub: OpenHub): Promise<Source> => {
    const hub = await openHub({ 'test/model': { main: { directory: checkpointFolder('tiny-qwen2') ?? '' } } });
    return { id: 'test/model', endpoint: hub.endpoint, device };
  };

  // memory.spec.ts and decode.spec.ts cancel on WebGPU too, loads and generations.
  const rarely = device === 'webgpu' ? ' @long' : '';
  test(`cancel in each stage on ${device}, then load${rarely}`, async ({ app, openHub }) => {
    const model = await source(openHub);
    for (const stage of STAGES) {
      const outcome = await cancelIn(app, model, stage);
      // A cancel that comes with the last step of the last stage may come too late: then the load has succeeded.
      if (stage === 'serve' && outcome.code === 'loaded') expect(outcome.last).toBe('ready');
      else expect(outcome, stage).toMatchObject({ code: 'aborted', name: 'AbortError', last: 'cancelled' });
      expect(outcome.left, `locks after a cancel in ${stage}`).toEqual([]);
    }
    const handle = await load(app, model);
    const tokens = await handle.evaluate(async (loaded, prompt) => {
      let count = 0;
      for await (const _ of loaded.generate(prompt, { max_new_tokens: 3, min_new_tokens: 3 })) count++;
      await loaded.dispose();
      return count;
    }, PROMPT);
    expect(tokens).toBe(3);
  });

  test(`cancel a generation on ${device}: within a token, and the next one is not disturbed${rarely}`, async ({
    app,
    openHub,
  }) => {
    const handle = await load(app, await source(openHub));
    const outcome = await handle.evaluate(async (model, prompt) => {
      const greedy = async (): Promise<number[]> => {
        const ids: number[] = [];
        for await (const { id } of model.generate(prompt, { max_new_tokens: 12, do_sample: false })) ids.push(id);
        return ids;
      };
      const before = await greedy();
      const controller = new AbortController();
      const long = { max_new_tokens: 200, min_new_tokens: 200 };
      let count = 0;
      let code = 'none';
      try {
        for await (const _ of model.generate(prompt.slice(2), { ...long, signal: controller.signal })) {
          if (++count === 4) controller.abort();
        }
      } catch (error) {
        code = window.firstlight.isLoadError(error) ? error.code : String(error);
      }
      for await (const _ of model.generate(prompt.slice(3), long)) break;
      const after = await greedy();
      await model.dispose();
      return { code, count, same: JSON.stringify(before) === JSON.stringify(after) };
    }, PROMPT);
    expect(outcome.code).toBe('aborted');
    expect(outcome.count).toBeLessThanOrEqual(8);
    expect(outcome.same).toBe(true);
  });
}

interface Source {
  readonly id: string;
  readonly endpoint: string;
  readonly device: 'webgpu' | 'wasm';
}

type OpenHub = (repositories: Readonly<Record<string, { main: { directory: string } }>>) => Promise<Hub>;

function load(page: Page, source: Source): Promise<JSHandle<Model>> {
  return page.evaluateHandle(
    ({ id, endpoint, device }) =>
      window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null }).load(id, { device, dtype: 'q8' }),
    source,
  );
}

/** Cancels a load the moment a stage begins; yields what the load said, and the locks that are still held soon after. */
async function cancelIn(
  page: Page,
  source: Source,
  stage: Stage,
): Promise<{ code: string; name: string; last: string | undefined; left: string[] }> {
  return page.evaluate(
    async ([{ id, endpoint, device }, at]) => {
      const { createLoader, isLoadError } = window.firstlight;
      const controller = new AbortController();
      const types: string[] = [];
      const loading = createLoader({ hub: { endpoint }, bundledBaseUrl: null }).load(id, {
        device,
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
    [source, stage] as const,
  );
}
