/**
 * The texts of a load, made beside its weights.
 *
 * In: a repository, and what its tokenizer is made from. Out: configs and a tokenizer that works. Guarantees: the files are asked
 * for at once, and this thread, which a large tokenizer takes a second, makes something of them only when it is told to. Weights
 * that are downloaded leave it time: so what is wrong with the texts is thrown while most of the weights have not come yet. Weights
 * that are here already need it themselves, until they are on the device; then the device computes, and leaves it time.
 */
import { isLoadError } from '../../contract/errors.ts';
import type { LoadPlan, TokenizerSource } from '../../contract/plan.ts';
import { loadTransformers } from '../../runtime/ort/transformers.ts';
import type { Transformers } from '../../runtime/ort/transformers.ts';
import type { Moment } from '../stage-log.ts';
import { TextTokenizer } from './text-tokenizer.ts';
import type { TextSource } from './read-file.ts';
import { readTexts } from './read-texts.ts';
import type { Texts } from './read-texts.ts';

/** See the file's header. */
export interface MadeTexts extends Omit<Texts, 'tokenizer'> {
  readonly tokenizer: TextTokenizer;
  readonly transformers: Transformers;
}

/** When this thread has time for texts; see the file's header. */
export function chooseMoment({ costs }: Pick<LoadPlan, 'costs'>): Moment {
  return costs.cachedBytes < costs.downloadBytes ? 'fetch begun' : 'fill ended';
}

/** `whenFree` resolves when this thread has time. @throws LoadError `tokenizer_invalid`, `config_invalid`, `runtime_failed`, `aborted`, and what reading throws */
export async function makeTexts(
  source: TextSource,
  tokenizerSource: TokenizerSource | null,
  whenFree: () => Promise<void>,
  signal: AbortSignal,
): Promise<MadeTexts> {
  try {
    const texts = await readTexts(held(source, whenFree), tokenizerSource, signal);
    // It needs the runtime, which belongs to the stage that places the model: one that does not start has failed there.
    const transformers = await loadTransformers().catch((error: unknown) => {
      throw isLoadError(error) ? error.inStage('place') : error;
    });
    return { ...texts, transformers, tokenizer: new TextTokenizer(transformers, texts.tokenizer) };
  } catch (error) {
    throw isLoadError(error) ? error.inStage('serve') : error;
  }
}

/** The same source, whose bytes come when there is time for them. */
function held({ snapshot, files }: TextSource, whenFree: () => Promise<void>): TextSource {
  const readAll: TextSource['files']['readAll'] = async (path, options) => {
    const bytes = await files.readAll(path, options);
    await whenFree();
    return bytes;
  };
  return { snapshot, files: { readAll } };
}
