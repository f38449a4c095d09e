/**
 * Composition root of the fetch worker: owns the cache's files, the network reads, hashing and writing. Started by the
 * model worker, which talks to it through `openFetchService`.
 */
import { expose } from 'comlink';
import { installErrorTransfer } from '../src/base/comlink-errors.ts';
import { watchPolicy } from '../src/base/policy-violations.ts';
import { FetchEngine } from '../src/pipeline/fetch/fetch-engine.ts';
import { CONVERTER_VERSION } from '../src/pipeline/prepared/prepared-layout.ts';

installErrorTransfer();
watchPolicy();
expose(
  new FetchEngine({
    converterVersion: CONVERTER_VERSION,
    createHashWorker: () => new Worker(new URL('./hash.worker.ts', import.meta.url), { type: 'module' }),
  }),
);
