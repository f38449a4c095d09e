/**
 * Composition root of the hash worker, which the fetch worker starts: hashing beside writing.
 */
import { answerLink } from '../src/base/linked-worker.ts';
import { HashEngine } from '../src/store/file-hasher.ts';

answerLink(() => new HashEngine());
