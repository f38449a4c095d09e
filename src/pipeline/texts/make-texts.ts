/**
 * The texts of a load, made beside the download of its weights.
 *
 * In: a repository, and what its tokenizer is made from. Out: configs and a tokenizer that works. Guarantees: the files are asked
 * for at once, and parsed only when the weights are on their way: a large tokenizer takes this thread a second. What is wrong with
 * them is thrown while most of the weights have not come yet.
 */
import type { TokenizerSource } from '../../contract/plan.ts';
import { isLoadError } from '../../contract/errors.ts';
import { loadTransformers } from '../../runtime/ort/transformers.ts';
import type { Transformers } from '../../runtime/ort/transformers.ts';
import { TextTokenizer } from './text-tokenizer.ts';
import type { StageLog } from '../stage-log.ts';
import type { TextSource } from './read-file.ts';
import { readTexts } from './read-texts.ts';
import type { Texts } from './read-texts.ts';

/** See the file's header. */
export interface MadeTexts extends Omit<Texts, 'tokenizer'> {
  readonly tokenizer: TextTokenizer;
  readonly transformers: Transformers;
}

/** @throws LoadError `tokenizer_invalid`, `config_invalid`, `runtime_failed`, `aborted`, and what reading throws */
export async function makeTexts(
  source: TextSource,
  tokenizerSource: TokenizerSource | null,
  log: Pick<StageLog, 'whenBegun'>,
  signal: AbortSignal,
): Promise<MadeTexts> {
  try {
    const texts = await readTexts(afterBeginning(source, log, signal), tokenizerSource, signal);
    // It needs the runtime, which belongs to the stage that places the model: one that does not start has failed there.
    const transformers = await loadTransformers().catch((error: unknown) => {
      throw isLoadError(error) ? error.inStage('place') : error;
    });
    return { ...texts, transformers, tokenizer: new TextTokenizer(transformers, texts.tokenizer) };
  } catch (error) {
    throw isLoadError(error) ? error.inStage('serve') : error;
  }
}

/** The same source, whose bytes come when the download of the weights has begun. */
function afterBeginning(
  { snapshot, files }: TextSource,
  log: Pick<StageLog, 'whenBegun'>,
  signal: AbortSignal,
): TextSource {
  const readAll: TextSource['files']['readAll'] = async (path, options) => {
    const bytes = await files.readAll(path, options);
    await log.whenBegun('fetch', signal);
    return bytes;
  };
  return { snapshot, files: { readAll } };
}
