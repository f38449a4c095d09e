/**
 * What a person can do about an error.
 *
 * In: an error as plain data. Out: one sentence of advice, for every code of the closed list.
 */
import { ERROR_SENTENCES, type ErrorCode, type LoadErrorData } from '../contract/errors.ts';

const CHECK_ID = 'Check the spelling of the model id; if the repository is private, give an access token under “Hub”.';
const REPORT = 'Please report this with the details below.';
const OTHER_REPOSITORY = 'The repository itself is at fault: try another revision, or tell its authors.';
const SMALLER = 'Choose a smaller number format (q8 or q4), a smaller model, or close other tabs.';
const CONNECTION = 'Check the connection, then try again: what was downloaded is kept.';

const ADVICE: Readonly<Record<ErrorCode, string>> = {
  invalid_argument: 'Correct the value named above.',
  insecure_context: 'Open this page over https, or as http://localhost.',
  environment_unsupported: 'Open this page in an ordinary browser tab, over http(s).',
  blocked_by_policy: 'Whoever serves this page has to allow what is named above in its Content-Security-Policy.',
  repository_not_found: CHECK_ID,
  repository_gated: 'Accept the terms on the repository’s page, then give an access token under “Hub”.',
  unauthorized: 'Give another access token under “Hub”, or leave the field empty for public repositories.',
  revision_not_found: 'Check the branch, tag or commit; “main” is the usual one.',
  file_not_found: 'Choose a repository that holds config.json, tokenizer.json and safetensors weights.',
  listing_invalid: OTHER_REPOSITORY,
  lfs_pointer: 'Run “git lfs pull” in the clone, or get the files with “hf download”, and load again.',
  adapter_repository: 'Load the base model, or a repository into which the adapter was merged.',
  unsupported_format: 'Choose a repository that holds a chat model as *.safetensors files.',
  no_safetensors: 'Choose a repository that holds *.safetensors files.',
  config_invalid: OTHER_REPOSITORY,
  unsupported_architecture: 'Choose a model of one of the supported architectures.',
  unsupported_dtype: 'Choose another number format.',
  safetensors_invalid: OTHER_REPOSITORY,
  tensor_missing: OTHER_REPOSITORY,
  tensor_shape_mismatch: OTHER_REPOSITORY,
  tokenizer_invalid: OTHER_REPOSITORY,
  chat_template_failed:
    'Send one text without a conversation, or render the conversation yourself and send its text or token ids.',
  tokenizer_unsupported: 'Choose a repository that holds a tokenizer.json.',
  tokenizer_missing: 'Choose a repository that holds a tokenizer.json.',
  network_unreachable: CONNECTION,
  http_status: 'Try again in a moment: what was downloaded is kept.',
  rate_limited:
    'Load again after that time: what was downloaded is kept. A hub often allows more with an access token (under “Hub”).',
  range_invalid: 'A proxy or mirror may be in the way: try another endpoint under “Hub”.',
  file_changed: 'Load again, to take the file as it is now.',
  size_mismatch: 'Load again; if it stays so, the repository or a proxy is at fault.',
  integrity_mismatch: 'Load again; if it stays so, the repository or a proxy is at fault.',
  not_cached: 'Connect to the network once, or choose a model that was loaded before.',
  quota_exceeded:
    'Free some disk space or this site’s storage, choose a smaller model, or let it load without the cache.',
  storage_unavailable:
    'Models load all the same, and are downloaded each time. To keep them, leave private browsing, or allow this site to keep data.',
  storage_failed: 'Load again; if it stays so, choose the folder again, or clear this site’s storage.',
  no_adapter: 'Choose device “auto” or “wasm”, or enable WebGPU in this browser.',
  does_not_fit: SMALLER,
  out_of_memory: SMALLER,
  device_lost:
    'The weights are still in the cache: a model that was ready is being rebuilt, and the prompt can be sent again; otherwise load again.',
  runtime_failed: 'Try another device or number format. ' + REPORT,
  output_mismatch:
    'Choose another number format, as said above, or device “wasm”: this GPU or its driver computes wrong values.',
  context_exceeded: 'Shorten the prompt or start a new conversation.',
  aborted: 'Load again whenever you like: what was downloaded is kept.',
  worker_died: 'Load again; the tab may have run short of memory.',
  disposed: 'Load the model again.',
  internal: REPORT,
};

/** What to do about an error with this code. */
export function adviceFor(code: ErrorCode): string {
  return ADVICE[code];
}

/** The part of the message that is not the code's own sentence: what was wrong, and where. */
export function specificsOf(error: LoadErrorData): string {
  const sentence = ERROR_SENTENCES[error.code];
  return error.message.startsWith(sentence) ? error.message.slice(sentence.length).trim() : error.message;
}

/** Everything about an error that helps to find its reason, as text to copy. */
export function detailsOf(error: LoadErrorData): string {
  const lines = [`code: ${error.code}`, `stage: ${error.stage ?? 'none'}`, `retryable: ${String(error.retryable)}`];
  for (const [name, value] of Object.entries(error.detail)) lines.push(`${name}: ${JSON.stringify(value)}`);
  let cause = error.cause;
  while (cause !== null) {
    lines.push(`caused by: ${'code' in cause ? cause.code : cause.name}: ${cause.message}`);
    cause = 'code' in cause ? cause.cause : null;
  }
  return lines.join('\n');
}
