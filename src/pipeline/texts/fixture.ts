/**
 * A known input and its expected output, which a model may bring in a file of its own.
 *
 * In: the file's bytes. Out: {@link Fixture}. The file is `{"inputIds": [1, 17, …], "logits": [[id, value], …]}`: the logits of
 * some tokens after the last input token, in float32, from the program that the model was made with.
 */
import { LoadError } from '../../contract/errors.ts';
import { TEXT_PATHS } from '../../formats/repository/text-files.ts';
import { readJson } from '../../formats/repository/repository-json.ts';

const FIXTURE_PATH = TEXT_PATHS.fixture;

/** See the file's header. */
export interface Fixture {
  readonly inputIds: readonly number[];
  /** Token id and logit; at least two, so that they have a spread. */
  readonly logits: readonly (readonly [id: number, value: number])[];
}

/** @throws LoadError `config_invalid`, `lfs_pointer` */
export function parseFixture(bytes: Uint8Array, vocabSize: number): Fixture {
  const { value } = readJson(bytes, FIXTURE_PATH, (cause) => invalid('it is no JSON', cause));
  const { inputIds, logits } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isId = (id: unknown): id is number => Number.isSafeInteger(id) && Number(id) >= 0 && Number(id) < vocabSize;
  if (!Array.isArray(inputIds) || inputIds.length === 0 || !inputIds.every(isId)) {
    throw invalid(`inputIds must be token ids below ${vocabSize}`);
  }
  const isLogit = (pair: unknown): pair is [number, number] =>
    Array.isArray(pair) && pair.length === 2 && isId(pair[0]) && Number.isFinite(pair[1]);
  if (!Array.isArray(logits) || logits.length < 2 || !logits.every(isLogit)) {
    throw invalid('logits must be at least two pairs of a token id and a number');
  }
  return { inputIds, logits };
}

function invalid(what: string, cause?: unknown): LoadError {
  return new LoadError('config_invalid', {
    message: `${FIXTURE_PATH}: ${what}.`,
    stage: 'warmUp',
    detail: { path: FIXTURE_PATH },
    cause,
  });
}
