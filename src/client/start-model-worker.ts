/**
 * Starts the model worker.
 *
 * Guarantee: where the platform refuses, the error says why, as far as the platform tells.
 */
import { blockedByPolicy, findViolation, watchPolicy } from '../base/policy-violations.ts';
import { LoadError } from '../contract/errors.ts';
import { explainRefusedWorker } from './environment.ts';

/** @throws LoadError `environment_unsupported` */
export function startModelWorker(name: string): Worker {
  watchPolicy();
  try {
    return new Worker(new URL('../../workers/model.worker.ts', import.meta.url), { type: 'module', name });
  } catch (error) {
    // Scripts of other origins, by a library that is served from elsewhere than the page, are the usual reason.
    const message = 'The browser refused to start a worker. Its script has to be of the same origin as the page.';
    throw (
      explainPolicy() ??
      explainRefusedWorker(error) ??
      new LoadError('environment_unsupported', { message, detail: { reason: 'worker_refused' }, cause: error })
    );
  }
}

/** Why a worker was started, and then its script was not. */
export function explainSilentWorker(message: string): LoadError {
  return (
    explainPolicy() ??
    explainRefusedWorker(undefined) ??
    new LoadError('worker_died', {
      message:
        message ||
        'Its script could not be loaded, or threw at its top level. It has to be served with the page, and on an isolated page with the same Cross-Origin-Embedder-Policy.',
      retryable: true,
    })
  );
}

function explainPolicy(): LoadError | null {
  const violation = findViolation(['worker-src', 'child-src']);
  return violation && blockedByPolicy(violation, "worker-src 'self'");
}
