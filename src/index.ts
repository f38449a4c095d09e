/**
 * Firstlight: from a Hugging Face model id to its first token inside a browser tab.
 *
 * The public API, every export named. Importing it pulls in no runtime: that lives in the worker.
 */
export { createLoader } from './client/loader.ts';
export type { Loader, LoaderOptions, LoadOptions, PlanOptions } from './client/loader.ts';
export type { GenerateCallOptions, Model } from './client/model.ts';
export { ERROR_SENTENCES, isLoadError, LoadError, STAGES } from './contract/errors.ts';
export type { ErrorCode, ErrorDetail, LoadErrorData, Stage } from './contract/errors.ts';
export type {
  ChatMessage,
  FinishReason,
  GeneratedToken,
  GenerateOptions,
  GenerateReport,
  Prompt,
} from './contract/generate.ts';
export type { AdapterInfo, LoadEvent, LoadReport, LoadRequest, ModelInfo, PlanSummary } from './contract/load.ts';
export type { DecoderShape, Device, Dtype, LoadPlan } from './contract/plan.ts';
export type { BundledModel } from './contract/worker-api.ts';
