/**
 * Composition root of the hash worker, which the fetch worker starts: hashing beside writing.
 */
import { expose } from 'comlink';
import { installErrorTransfer } from '../src/base/comlink-errors.ts';
import { HashEngine } from '../src/store/file-hasher.ts';

installErrorTransfer();
expose(new HashEngine());
