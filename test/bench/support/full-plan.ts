/**
 * The full plan of a model at the local hub, as the model worker makes it: a page is given a summary only.
 */
import type { LoadPlan } from '../../../src/contract/plan.ts';
import { listFiles, readRevision } from '../../../src/hub/listing.ts';
import { resolveUrl } from '../../../src/hub/urls.ts';
import { planLoad } from '../../../src/pipeline/plan/plan.ts';
import { describeAdapter } from '../../../src/runtime/gpu/adapter.ts';

/** Plans for WebGPU. */
export async function planInFull(endpoint: string, modelId: string, dtype: 'fp32' | 'q8' | 'q4'): Promise<LoadPlan> {
  const access = { endpoint, token: null, fetch: globalThis.fetch.bind(globalThis) };
  const info = await readRevision(access, modelId, 'main', { timeoutMs: 10_000 });
  const files = (await listFiles(access, info, { timeoutMs: 10_000 })).map((file) => ({
    ...file,
    url: resolveUrl(endpoint, info.modelId, info.commit, file.path),
  }));
  const read = async (path: string, headers: Record<string, string>): Promise<Uint8Array> => {
    const answer = await fetch(resolveUrl(endpoint, info.modelId, info.commit, path), { headers });
    return new Uint8Array(await answer.arrayBuffer());
  };
  const { adapter } = await describeAdapter();
  return planLoad({
    snapshot: {
      modelId,
      source: 'hub',
      endpoint,
      revision: 'main',
      commit: info.commit,
      files,
      resolvedAtMs: Date.now(),
      offline: false,
    },
    request: { dtype, device: 'webgpu', contextTokens: null },
    adapter,
    readAll: (path) => read(path, {}),
    readRange: (path, start, end) => read(path, { Range: `bytes=${start}-${end - 1}` }),
  });
}
