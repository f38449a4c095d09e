/**
 * Which of a repository's files become the tokenizer, from their names alone: known before any download.
 *
 * In: the files of a snapshot, and what was asked for. Out: the file that it is made from, or null for a model that takes token
 * ids only, and why. A repository that has files of a tokenizer, but of none that can be read here, is refused: its user would
 * hear of it only after the weights.
 */
import { LoadError } from '../../contract/errors.ts';
import type { LoadRequest } from '../../contract/load.ts';
import type { TokenizerSource } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { findVocabulary, VOCABULARY_FILES } from '../../formats/repository/text-files.ts';
import type { Choice } from './choose-context.ts';

/** Names of files that belong to a tokenizer; they alone do not make one here. */
const OTHER_FILES: readonly RegExp[] = [
  /^tekken\.json$/u, // Mistral's
  /\.tiktoken$|^tiktoken\.model$/u, // byte pairs by rank
  /^tokenizer\.model/u, // SentencePiece, and numbered versions of it
  /^(?:spiece|spm|sentencepiece\.bpe)\.model$/u,
  /^(?:vocab\.(?:json|txt)|merges\.txt)$/u,
  /^tokenizer_config\.json$/u,
];

/** @throws LoadError `tokenizer_unsupported` */
export function chooseTokenizer(
  { modelId, files }: Pick<Snapshot, 'modelId' | 'files'>,
  requested: LoadRequest['tokenizer'],
): Choice<TokenizerSource | null> {
  if (requested === 'none') return { value: null, reason: 'As asked for: the model takes token ids only.' };
  const found = findVocabulary({ files });
  if (found) return { value: found, reason: `The repository has ${VOCABULARY_FILES[found].join(' and ')}.` };
  const others = files.map(({ path }) => path).filter((path) => OTHER_FILES.some((pattern) => pattern.test(path)));
  if (others.length === 0) {
    return { value: null, reason: 'The repository has no tokenizer: the model takes token ids only.' };
  }
  throw new LoadError('tokenizer_unsupported', {
    message:
      `${modelId} has ${others.join(', ')}, but not ${Object.values(VOCABULARY_FILES)
        .map((names) => names.join(' with '))
        .join(', ')}. ` +
      'Choose a repository that has a tokenizer.json (save_pretrained() of transformers writes one), ' +
      "or load it with tokenizer: 'none' and pass token ids.",
    detail: { files: others },
  });
}
