/**
 * Firstlight: from a Hugging Face model id to its first token inside a browser tab.
 *
 * The public API, every export named. Importing it pulls in no runtime: that lives in the worker.
 */
export type { ModelCache, PruneOptions, VerifyOptions } from './client/cache.ts';
export { createLoader } from './client/loader.ts';
export type { Loader, LoaderOptions, LoadOptions, PlanOptions } from './client/loader.ts';
export type { InterruptedLoad } from './client/load-mark.ts';
export { readDroppedFolder } from './client/local-folder.ts';
export type { FolderSource } from './client/local-folder.ts';
export type { AddressSource, ModelSource } from './client/model-source.ts';
export type { GenerateCallOptions, Model } from './client/model.ts';
export type {
  CachedSnapshotName,
  CacheEntry,
  CacheEntryFile,
  CacheRemoval,
  CacheSelector,
  CacheUsage,
  FileStatus,
  VerifyProgress,
  VerifyResult,
} from './contract/cache.ts';
export { ERROR_SENTENCES, isLoadError, LoadError, STAGES } from './contract/errors.ts';
export type { ErrorCode, ErrorDetail, LoadErrorData, Stage } from './contract/errors.ts';
export type {
  ChatMessage,
  ChatOptions,
  ContentPart,
  FinishReason,
  GeneratedToken,
  GenerateOptions,
  GenerateReport,
  GenerationPath,
  Prompt,
} from './contract/generate.ts';
export type {
  AdapterInfo,
  CacheMode,
  ContextRange,
  LoadEvent,
  LoadReport,
  LoadRequest,
  ModelInfo,
  PlanSummary,
  SimulatedLimits,
} from './contract/load.ts';
export type { BufferPurpose, GpuMemory, MemoryUse } from './contract/memory.ts';
export type { ModelState } from './contract/model-state.ts';
export type { Device, Dtype, DtypeFit, LoadPlan, PlanCosts, PlannedStorage, TokenizerSource } from './contract/plan.ts';
export type { LocalFile } from './contract/snapshot.ts';
export type { BundledModel } from './contract/worker-api.ts';
