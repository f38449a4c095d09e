/** The plan that a KV cache grows to: the one that a load for so many tokens would have made. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Dtype } from '../../../src/contract/plan.ts';
import { resizeContext } from '../../../src/pipeline/plan/resize-context.ts';
import { ADAPTER, listTensors, LLAMA_CONFIG, makeSingle, plan } from './made-repository.ts';

const config = { ...LLAMA_CONFIG, max_position_embeddings: 8192 };
const adapter = { ...ADAPTER, features: ['shader-f16'] };

it('is what planning for so many tokens gives', async () => {
  const model = makeSingle(config, listTensors(config));
  const planFor = (dtype: Dtype, reserve: number) =>
    plan(model, { adapter, request: { dtype, device: 'webgpu', contextTokens: { reserve, max: 8192 } } });
  // From 512 tokens on the estimate of activations is the same.
  const tokens = fc.integer({ min: 512, max: 8191 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom<Dtype>('fp32', 'q4', 'q4f16'), tokens, tokens, async (dtype, from, to) => {
      const resized = resizeContext(await planFor(dtype, from), to);
      expect({ ...resized, dtypes: null }).toEqual({ ...(await planFor(dtype, to)), dtypes: null });
    }),
    { numRuns: 20 },
  );
});
