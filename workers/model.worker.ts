/**
 * The model worker: everything but painting happens here, and in the fetch worker that all model workers of a page share.
 *
 * A composition root: joins the pipeline to the link by which the page calls it.
 */
import { answerLink } from '../src/base/linked-worker.ts';
import { MODEL_WORKER_PREFIX } from '../src/contract/worker-api.ts';
import { ModelService } from '../src/pipeline/model-service.ts';

// onnxruntime starts its threads from the script that it was bundled into, under a name of its own: those are not us.
if (self.name.startsWith(MODEL_WORKER_PREFIX)) answerLink(() => new ModelService());
