/**
 * The small files of a load, each read once: the plan reads some of those that serving needs, too.
 *
 * In: a repository. Out: the same files. Guarantees: what was read whole is not asked for again as long as the result lives;
 * large files, which nothing but serving reads, are not held.
 */
import type { TextSource } from './read-file.ts';

/** Configs and templates have less; nearly all tokenizers have more. */
const MAX_HELD_BYTES = 2 ** 20;

/** See the file's header. What is read must not be changed or transferred. */
export function readOnce(repository: TextSource): TextSource {
  const held = new Map<string, Uint8Array<ArrayBuffer>>();
  const readAll: TextSource['files']['readAll'] = async (path, options) => {
    const known = held.get(path);
    if (known) return known;
    // The repository's files of now: it may go on with others, that keep nothing.
    const bytes = await repository.files.readAll(path, options);
    if (bytes.length <= MAX_HELD_BYTES) held.set(path, bytes);
    return bytes;
  };
  return { snapshot: repository.snapshot, files: { readAll } };
}
