/**
 * The one error type of Firstlight and its closed list of codes.
 *
 * In: nothing. Out: {@link LoadError}, thrown by every stage and carried whole across the worker boundary
 * (see `workers/` and `client/`, which serialise it with {@link toErrorData} and {@link fromErrorData}).
 * Guarantees: plain data only, so that a structured clone never loses a field.
 */

/** The stages of the pipeline, in the order in which a model passes through them. */
export const STAGES = ['resolve', 'plan', 'build', 'fetch', 'fill', 'place', 'warmUp', 'serve'] as const;

/** One stage of the pipeline. */
export type Stage = (typeof STAGES)[number];

/**
 * Every error code, with the sentence that a person reads first.
 * A new code needs an entry here and a test that provokes it.
 */
export const ERROR_SENTENCES = {
  invalid_argument: 'An option or argument is not valid.',
  insecure_context: 'This page was opened over plain http, where browsers withhold what loading needs.',
  environment_unsupported: 'Models cannot be loaded from this kind of page or worker.',
  blocked_by_policy: "The page's content security policy forbids something that loading needs.",
  repository_not_found: 'There is no such repository, or it is private and this token may not see it.',
  repository_gated: 'This repository is gated: accept its terms on its page, then give an access token.',
  unauthorized: 'The access token was refused.',
  revision_not_found: 'The repository has no such revision.',
  file_not_found: 'The repository lacks a file that loading needs.',
  listing_invalid: "The repository's file listing cannot be trusted.",
  lfs_pointer: 'A Git LFS pointer stands where a file should be.',
  adapter_repository: 'The repository holds an adapter, which is no model by itself.',
  unsupported_format: 'The repository is of a kind that cannot be loaded here.',
  no_safetensors: 'The repository has no safetensors weights.',
  config_invalid: 'config.json is not valid for its model type.',
  unsupported_architecture: 'This model architecture is not supported yet.',
  unsupported_dtype: 'This number format cannot be loaded here.',
  safetensors_invalid: 'A safetensors header is damaged or does not match its file.',
  tensor_missing: 'The checkpoint lacks tensors that the architecture needs.',
  tensor_shape_mismatch: 'A tensor does not have the shape that config.json states.',
  tokenizer_invalid: 'A tokenizer file of the repository is damaged or makes no sense.',
  tokenizer_unsupported: 'The repository has a tokenizer of a kind that cannot be read here.',
  tokenizer_missing: 'The model was loaded without a tokenizer, so text cannot be turned into tokens.',
  chat_template_failed: 'The chat template of this model cannot be rendered for this conversation here.',
  network_unreachable: 'The network or the server cannot be reached.',
  http_status: 'The server answered with an error.',
  rate_limited: 'The server limits how often it may be asked.',
  range_invalid: 'The server did not answer a range request as HTTP asks.',
  file_changed: 'A file changed while it was being downloaded or read.',
  size_mismatch: 'A file does not have the size that was announced.',
  integrity_mismatch: 'The downloaded bytes do not have the announced hash.',
  not_cached: 'The network is unreachable and this model is not complete in the cache.',
  quota_exceeded: 'There is not enough storage for this model.',
  storage_unavailable: 'This browser gives the page no storage for files.',
  storage_failed: 'Reading or writing files on this device failed.',
  no_adapter: 'WebGPU has no adapter here, and WebAssembly was not allowed.',
  does_not_fit: 'The model does not fit this device.',
  out_of_memory: 'The device ran out of memory.',
  device_lost: 'The GPU device was lost.',
  runtime_failed: 'The inference runtime failed.',
  output_mismatch: 'The model computes wrong values on this device.',
  context_exceeded: "The prompt is longer than the model's context.",
  aborted: 'The operation was cancelled.',
  worker_died: 'The background worker stopped.',
  disposed: 'The model or loader was already disposed.',
  internal: 'Something went wrong inside Firstlight.',
} as const;

/** A code from the closed list. */
export type ErrorCode = keyof typeof ERROR_SENTENCES;

/** Plain values only: what survives a structured clone and a JSON file alike. */
export type ErrorDetail = Readonly<Record<string, unknown>>;

/** A {@link LoadError} as plain data, for crossing a worker boundary. */
export interface LoadErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly stage: Stage | null;
  readonly retryable: boolean;
  readonly detail: ErrorDetail;
  readonly cause: LoadErrorData | { readonly name: string; readonly message: string } | null;
  readonly stack: string | undefined;
}

/** What a {@link LoadError} is made from besides its code. */
export interface LoadErrorOptions {
  /** What was wrong, where, and what to do: completes the code's own sentence. */
  readonly message?: string;
  readonly stage?: Stage | null;
  /** Whether the same call may succeed later without anything being changed. */
  readonly retryable?: boolean;
  readonly detail?: ErrorDetail;
  readonly cause?: unknown;
}

const BRAND = 'firstlight.LoadError';

/**
 * The error that every stage throws.
 *
 * `code` is from a closed list; `stage` is where it happened (null outside a load); `retryable` says whether the same
 * call may succeed later; `detail` holds the facts (names, offsets, sizes) as plain data; `cause` is what lay below.
 * An `aborted` error carries the name `AbortError`, so that code written for the platform's convention works too.
 */
export class LoadError extends Error {
  readonly code: ErrorCode;
  readonly stage: Stage | null;
  readonly retryable: boolean;
  readonly detail: ErrorDetail;
  /** Survives two copies of this module on one page, where `instanceof` does not. */
  readonly brand = BRAND;

  constructor(code: ErrorCode, options: LoadErrorOptions = {}) {
    const sentence = ERROR_SENTENCES[code];
    super(options.message ? `${sentence} ${options.message}` : sentence, { cause: options.cause });
    this.name = code === 'aborted' ? 'AbortError' : 'LoadError';
    this.code = code;
    this.stage = options.stage ?? null;
    this.retryable = options.retryable ?? false;
    this.detail = options.detail ?? {};
  }

  /** The same error, placed in a stage, if none has claimed it yet. */
  inStage(stage: Stage): LoadError {
    return this.stage === null ? fromErrorData({ ...toErrorData(this), stage }) : this;
  }
}

/** Whether `value` is a {@link LoadError}, from whichever copy of this module. */
export function isLoadError(value: unknown): value is LoadError {
  return value instanceof Error && (value as { brand?: unknown }).brand === BRAND;
}

/** Plain data for `error`, with its chain of causes; anything thrown that is no LoadError becomes `internal`. */
export function toErrorData(error: unknown): LoadErrorData {
  if (isLoadError(error)) {
    return {
      code: error.code,
      message: error.message,
      stage: error.stage,
      retryable: error.retryable,
      detail: error.detail,
      cause: toCauseData(error.cause),
      stack: error.stack,
    };
  }
  if (error instanceof Error && error.name === 'AbortError') {
    return { ...toErrorData(new LoadError('aborted', { retryable: true })), cause: toCauseData(error) };
  }
  return { ...toErrorData(new LoadError('internal', { message: describe(error) })), cause: toCauseData(error) };
}

/** The error that {@link toErrorData} described. */
export function fromErrorData(data: LoadErrorData): LoadError {
  const error = new LoadError(data.code, {
    stage: data.stage,
    retryable: data.retryable,
    detail: data.detail,
    cause:
      data.cause === null ? undefined : 'code' in data.cause ? fromErrorData(data.cause) : toPlainError(data.cause),
  });
  error.message = data.message;
  if (data.stack !== undefined) error.stack = data.stack;
  return error;
}

function toCauseData(cause: unknown): LoadErrorData['cause'] {
  if (cause === undefined || cause === null) return null;
  if (isLoadError(cause)) return toErrorData(cause);
  if (cause instanceof Error) return { name: cause.name, message: cause.message };
  return { name: 'Error', message: describe(cause) };
}

function toPlainError(data: { readonly name: string; readonly message: string }): Error {
  const error = new Error(data.message);
  error.name = data.name;
  return error;
}

function describe(value: unknown): string {
  return value instanceof Error ? `${value.name}: ${value.message}` : String(value);
}
