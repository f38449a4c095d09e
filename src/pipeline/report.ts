/**
 * What a load tells when it is through: its report, and what the model is. Pure.
 */
import type { LoadReport, ModelInfo } from '../contract/load.ts';
import type { GpuMemory } from '../contract/memory.ts';
import type { LoadPlan } from '../contract/plan.ts';
import type { PlacedModel } from './deliver/fetch-onto-device.ts';
import type { Repository } from './resolve/repository.ts';
import type { StageLog } from './stage-log.ts';
import type { TextTokenizer } from './texts/text-tokenizer.ts';
import type { Budget } from './warm-up/budget.ts';
import type { WarmUpResult } from './warm-up/warm-up.ts';

/** What the stages found. */
export interface LoadFindings {
  readonly plan: LoadPlan;
  readonly placed: PlacedModel;
  /** Null where nothing was measured. */
  readonly budget: Budget | null;
  readonly warmth: WarmUpResult;
  /** Null where it runs on the CPU. */
  readonly gpuMemory: GpuMemory | null;
  readonly receivedBytes: number;
  readonly repository: Pick<Repository, 'snapshot' | 'storage'>;
  readonly log: Pick<StageLog, 'timings' | 'notices' | 'nowMs'>;
}

/** See the file's header. */
export function makeReport(findings: LoadFindings): LoadReport {
  const { plan, placed, budget, warmth, gpuMemory, receivedBytes, repository, log } = findings;
  return {
    modelId: plan.modelId,
    commit: plan.commit,
    dtype: plan.dtype,
    device: plan.device,
    stages: log.timings,
    totalMs: log.nowMs(),
    bytes: {
      fromNetwork: receivedBytes,
      fromCache: Math.max(0, placed.fileBytes - receivedBytes),
      fromPrepared: placed.preparedBytes,
      toDevice: placed.deviceBytes,
    },
    memory: {
      weightBytes: plan.costs.weightBytes,
      kvCacheBytes: plan.costs.kvCacheBytes,
      conversations: 1 + placed.parkedCaches,
      activationBytes: placed.skeleton?.activationBytes ?? null,
      prefillChunkTokens: budget?.chunkTokens ?? null,
      kvBudgetTokens: budget?.kvTokens ?? null,
      gpuBytes: gpuMemory?.liveBytes ?? null,
      gpuPeakBytes: gpuMemory?.peakBytes ?? null,
    },
    warmUp: { skeletonMs: placed.skeleton?.elapsedMs ?? null, ...warmth },
    adapter: placed.adapter,
    offline: repository.snapshot.offline,
    storage: repository.storage,
    notices: log.notices,
  };
}

/** What was loaded. */
export function describeModel(plan: LoadPlan, tokenizer: TextTokenizer): ModelInfo {
  return {
    modelId: plan.modelId,
    revision: plan.revision,
    commit: plan.commit,
    modelType: plan.spec.modelType,
    dtype: plan.dtype,
    device: plan.device,
    contextTokens: plan.contextTokens,
    maxContextTokens: plan.maxContextTokens,
    vocabSize: plan.sizes.vocabSize,
    parameterCount: plan.costs.parameterCount,
    hasTokenizer: tokenizer.available,
    hasChatTemplate: tokenizer.hasChatTemplate,
  };
}
