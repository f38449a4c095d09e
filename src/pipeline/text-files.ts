/**
 * The small files that serving needs: configs, tokenizer, chat template.
 *
 * In: a repository. Out: parsed JSON, null for what is not there. Every file but config.json may be absent.
 */
import { LoadError } from '../contract/errors.ts';
import type { Snapshot } from '../contract/snapshot.ts';
import type { SnapshotFiles } from './fetch/service.ts';
import { FIXTURE_PATH, parseFixture } from './warm-up/fixture.ts';
import type { Fixture } from './warm-up/fixture.ts';
import type { TokenizerFiles } from './serve/text-tokenizer.ts';

/** What these functions need of a repository. */
interface Repository {
  readonly snapshot: Pick<Snapshot, 'files'>;
  readonly files: Pick<SnapshotFiles, 'readAll'>;
}

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** See the file's header. */
export interface TextFiles {
  readonly config: JsonObject;
  /** generation_config.json over the token ids that older repositories keep in config.json. */
  readonly generationConfig: JsonObject;
  readonly tokenizer: TokenizerFiles;
}

const CONFIG = 'config.json';
const GENERATION_CONFIG = 'generation_config.json';
const TOKENIZER = 'tokenizer.json';
const TOKENIZER_CONFIG = 'tokenizer_config.json';
const CHAT_TEMPLATE = 'chat_template.jinja';

/** Every file that is read here. */
export const TEXT_FILES: readonly string[] = [CONFIG, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG, CHAT_TEMPLATE];

/** Those of the files that the snapshot has: to be downloaded together with the weights. */
export function listTextFiles({ snapshot }: Repository): string[] {
  const present = new Set(snapshot.files.map((file) => file.path));
  return [...TEXT_FILES, FIXTURE_PATH].filter((path) => present.has(path));
}

/** The model's own test, where it brings one. @throws LoadError `config_invalid`, and what reading throws */
export async function readFixture(
  repository: Repository,
  vocabSize: number,
  signal: AbortSignal,
): Promise<Fixture | null> {
  if (!listTextFiles(repository).includes(FIXTURE_PATH)) return null;
  const bytes = await repository.files.readAll(FIXTURE_PATH, { signal });
  return parseFixture(new TextDecoder().decode(bytes), vocabSize);
}

/** @throws LoadError `config_invalid` for what is no JSON object, and what reading throws */
export async function readTextFiles(repository: Repository, signal: AbortSignal): Promise<TextFiles> {
  const present = new Set(listTextFiles(repository));
  const readText = async (path: string): Promise<string | null> =>
    present.has(path) ? new TextDecoder().decode(await repository.files.readAll(path, { signal })) : null;
  const readJson = async (path: string): Promise<JsonObject | null> => parseObject(await readText(path), path);
  const config = (await readJson(CONFIG)) ?? {};
  return {
    config,
    generationConfig: { eos_token_id: config['eos_token_id'], ...(await readJson(GENERATION_CONFIG)) },
    tokenizer: {
      tokenizer: await readJson(TOKENIZER),
      tokenizerConfig: await readJson(TOKENIZER_CONFIG),
      chatTemplate: await readText(CHAT_TEMPLATE),
    },
  };
}

function parseObject(text: string | null, path: string): JsonObject | null {
  if (text === null) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new LoadError('config_invalid', { message: `${path} is no JSON.`, detail: { path }, cause: error });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new LoadError('config_invalid', { message: `${path} holds no JSON object.`, detail: { path } });
  }
  return parsed as JsonObject;
}
