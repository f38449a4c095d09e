/**
 * Several conversations with one model: each comes back at the cost of its new tokens, and answers as if it had been alone.
 */
import type { JSHandle } from '@playwright/test';
import type { GenerateReport, Model } from '../../src/index.ts';
import { checkpointFolder, expect, test, testInKeptApp } from './support.ts';

const prompt = (seed: number): number[] => Array.from({ length: 30 }, (_, index) => (index * 31 + seed * 17) % 200);

for (const device of ['wasm', 'webgpu'] as const) {
  const inPage = device === 'wasm' ? testInKeptApp : test;
  inPage(
    `conversations on ${device}: parked, brought back, the least recently used one dropped${device === 'webgpu' ? ' @long' : ''}`,
    async ({ app, openHub }) => {
      const hub = await openHub({ 'test/model': { main: { directory: checkpointFolder('tiny-qwen2') ?? '' } } });
      const model = await app.evaluateHandle(
        ([endpoint, on]) =>
          window.firstlight
            .createLoader({ hub: { endpoint }, bundledBaseUrl: null })
            .load('test/model', { device: on, dtype: 'fp32', conversations: 2 }),
        [hub.endpoint, device] as const,
      );
      const { memory } = await model.evaluate(({ report }) => report);
      expect(memory.conversations).toBe(2);
      if (device === 'webgpu') {
        expect(memory.activationBytes).toBeGreaterThan(0);
        expect(memory.kvBudgetTokens).toBeGreaterThanOrEqual(2 * 512);
      }
      const first = await turn(model, prompt(1));
      const second = await turn(model, prompt(2));
      expect([first.reused, second.reused]).toEqual([0, 0]);
      const next = [...prompt(1), ...first.ids, 7, 8, 9];
      const back = await turn(model, next);
      expect(back.reused).toBeGreaterThanOrEqual(30 + first.ids.length - 1);
      // Asked again with everything forgotten in between: two others push it out.
      for (const seed of [3, 4]) expect((await turn(model, prompt(seed))).reused).toBe(0);
      const alone = await turn(model, next);
      expect(alone.reused).toBe(0);
      expect(back.ids).toEqual(alone.ids);
      await model.evaluate((it) => it.dispose());
    },
  );
}

async function turn(model: JSHandle<Model>, ids: readonly number[]): Promise<{ ids: number[]; reused: number }> {
  return model.evaluate(async (handle, inputIds) => {
    const made: number[] = [];
    let report: GenerateReport | undefined;
    const options = { max_new_tokens: 8, min_new_tokens: 8, do_sample: false };
    for await (const { id } of handle.generate(inputIds, { ...options, onReport: (end) => (report = end) }))
      made.push(id);
    return { ids: made, reused: report?.reusedTokens ?? -1 };
  }, ids);
}
