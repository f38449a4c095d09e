/**
 * A KV cache that grows: the same tokens as from one that was large from the beginning, parked conversations that survive it,
 * and a device that has no room, which leaves everything as it was.
 */
import type { JSHandle } from '@playwright/test';
import type { GenerateCallOptions, GenerateReport, LoadOptions, Loader, Model } from '../../src/index.ts';
import { meddle, readAccount } from './gpu-faults.ts';
import { ID, openTinyInWorker } from './model-worker.ts';
import { expect, readReference, test } from './support.ts';

test('greedy ids across growths are those of transformers; a parked conversation survives them', async ({ app, openHub }) => {
  const { loader, worker } = await openTinyInWorker(app, openHub, 'tiny-qwen2');
  await meddle(worker);
  const { reference } = await readReference('tiny-qwen2');
  const { inputIds, ids } = reference.greedy;
  const model = await load(loader, { reserve: 32, max: 512 });
  console.log(await model.evaluate((it) => it.memory()));
  console.time('gen');
  const made = await generate(model, inputIds, { max_new_tokens: ids.length });
  console.timeEnd('gen');
  console.log(made.report, await model.evaluate((it) => it.memory()));
  expect(made.ids).toEqual([...ids]);
  await model.evaluate((it) => it.dispose());
  console.log(await readAccount(worker));
});

function load(loader: JSHandle<Loader>, contextTokens: LoadOptions['contextTokens']): Promise<JSHandle<Model>> {
  return loader.evaluateHandle(
    (it, [id, tokens]) => it.load(id, { device: 'webgpu', dtype: 'fp32', ...(tokens ? { contextTokens: tokens } : {}) }),
    [ID, contextTokens] as const,
  );
}

interface Generated {
  readonly ids: number[];
  readonly report: GenerateReport;
}

async function generate(
  model: JSHandle<Model>,
  prompt: readonly number[],
  options: GenerateCallOptions,
): Promise<Generated> {
  return model.evaluate(
    async (handle, [ids, given]) => {
      const made: number[] = [];
      let report: GenerateReport | undefined;
      const all = { do_sample: false, ...given, onReport: (end: GenerateReport) => (report = end) };
      for await (const { id } of handle.generate(ids, all)) made.push(id);
      return { ids: made, report: report as GenerateReport };
    },
    [prompt, options] as const,
  );
}
