/**
 * The model worker: everything but painting happens here, and in the fetch worker that it starts.
 *
 * A composition root: joins the pipeline to comlink and holds the lock by which the page notices this worker's death.
 */
import * as Comlink from 'comlink';
import { installErrorTransfer } from '../src/base/comlink-errors.ts';
import { watchPolicy } from '../src/base/policy-violations.ts';
import { WORKER_READY, workerLifeLock } from '../src/contract/worker-api.ts';
import { ModelService } from '../src/pipeline/model-service.ts';

const NAME_PREFIX = 'firstlight-';

// onnxruntime starts its threads from the script that it was bundled into, under a name of its own: those are not us.
if (self.name.startsWith(NAME_PREFIX)) {
  installErrorTransfer();
  watchPolicy();
  Comlink.expose(
    new ModelService({
      startFetchWorker: () => new Worker(new URL('./fetch.worker.ts', import.meta.url), { type: 'module' }),
    }),
  );
  const locks = (navigator as { locks?: LockManager }).locks;
  locks
    ?.request(workerLifeLock(self.name.slice(NAME_PREFIX.length)), () => {
      self.postMessage(WORKER_READY);
      return new Promise(() => {}); // held until this worker is gone
    })
    .catch(() => undefined); // a page whose site data is blocked has no locks: then only error events tell
}
