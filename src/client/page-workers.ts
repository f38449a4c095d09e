/**
 * The workers that the page starts: one for the models of a loader, and one that fetches for all of them.
 *
 * Guarantee: where the platform refuses, the error says why, as far as the platform tells.
 */
import { explainEnd, explainPolicy } from '../base/worker-link.ts';
import type { WorkerEnd, WorkerKind } from '../base/worker-link.ts';
import { LoadError } from '../contract/errors.ts';
import { MODEL_WORKER_PREFIX } from '../contract/worker-api.ts';
import { explainRefusedWorker } from './environment.ts';

export const MODEL_WORKER: WorkerKind = {
  namePrefix: MODEL_WORKER_PREFIX,
  start: (name) => new Worker(new URL('../../workers/model.worker.ts', import.meta.url), { type: 'module', name }),
  explain: explainPageWorker,
};

export const FETCH_WORKER: WorkerKind = {
  namePrefix: 'firstlight:fetch-worker:',
  start: (name) => new Worker(new URL('../../workers/fetch.worker.ts', import.meta.url), { type: 'module', name }),
  explain: (end) => explainPageWorker(end).inStage('fetch'),
};

/** The error for a worker of the page that would not start, or ended by itself. */
function explainPageWorker(end: WorkerEnd): LoadError {
  if (end.hasStarted) return explainEnd(end);
  return explainPolicy() ?? explainRefusedWorker(end.cause) ?? explainThrown(end) ?? explainEnd(end);
}

function explainThrown({ cause }: WorkerEnd): LoadError | null {
  if (cause === undefined) return null;
  // Scripts of other origins, by a library that is served from elsewhere than the page, are the usual reason.
  const message = 'The browser refused to start a worker. Its script has to be of the same origin as the page.';
  return new LoadError('environment_unsupported', { message, detail: { reason: 'worker_refused' }, cause });
}
