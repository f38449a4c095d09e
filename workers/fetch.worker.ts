/**
 * Composition root of the fetch worker: owns the cache's files, the network reads, hashing and writing. Started by the
 * page, once for all its loads; model workers talk to it through `openFetchService`.
 */
import { answerLink } from '../src/base/linked-worker.ts';
import { FetchEngine } from '../src/pipeline/fetch/fetch-engine.ts';
import { CONVERTER_VERSION } from '../src/pipeline/prepared/prepared-layout.ts';

answerLink(
  (hasLocks) =>
    new FetchEngine({
      hasLocks,
      converterVersion: CONVERTER_VERSION,
      startHashWorker: (name) => new Worker(new URL('./hash.worker.ts', import.meta.url), { type: 'module', name }),
    }),
);
