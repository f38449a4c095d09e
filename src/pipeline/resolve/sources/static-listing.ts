/**
 * The files of a repository on a static server, which lists nothing: derived from what every repository has.
 *
 * In: a base address. Out: the files that loading can use, with size and version. Order: config.json, without which there is
 * no model; then model.safetensors, else the index and every shard that it names; then the texts, any of which may be missing.
 */
import { forEachConcurrent } from '../../../base/concurrency.ts';
import { LoadError } from '../../../contract/errors.ts';
import { parseWeightsIndex } from '../../../formats/safetensors/weights-index.ts';
import { encodePath } from '../../../hub/urls.ts';
import type { AskOptions } from '../last-known.ts';
import { INDEX_FILE, nameSome, SINGLE_FILE } from '../../../formats/repository/weight-files.ts';
import { USUAL_TEXTS } from '../../../formats/repository/text-files.ts';
import { completeSet, isFirstShard, OTHER_CONFIGS, OTHER_FORMATS, OTHER_WEIGHTS } from './static-guesses.ts';
import { probeFile, readSmallFile } from './static-probe.ts';
import type { FileKind, FoundFile } from './static-probe.ts';

/** A file that was found. */
export interface StaticFile extends FoundFile {
  readonly path: string;
  readonly url: string;
}

const CONFIG = 'config.json';
const TOKENIZER = 'tokenizer.json';

/** Asked for where there is no tokenizer.json: what else it could be made from, or why it cannot be made. */
const OTHER_TOKENIZERS = ['tokenizer.model', 'vocab.json', 'merges.txt', 'tekken.json'];

/** As many as browsers open to a host over HTTP/1.1. */
const CONCURRENT_PROBES = 6;

/** An index that names more is a mistake or an attack. */
const MAX_SHARDS = 10_000;

/** Object stores answer 403 for what is not there to those who may not list: believed once something was there. */
const ABSENT = [404, 410];
const ABSENT_OR_FORBIDDEN = [...ABSENT, 403];

/**
 * @throws LoadError `file_not_found` (config.json, shards), `no_safetensors`, `safetensors_invalid` (the index),
 * `network_unreachable`, `rate_limited`, `http_status`, `range_invalid`, `aborted`
 */
export async function listStaticFiles(baseUrl: string, options: AskOptions): Promise<readonly StaticFile[]> {
  const [config] = await probeAll(baseUrl, [CONFIG], ABSENT, options);
  if (!config) {
    // What is no model, but has a name: the plan says it.
    const others = await probeAll(baseUrl, OTHER_CONFIGS, ABSENT, options);
    if (others.length > 0) return others;
    throw new LoadError('file_not_found', {
      message: `There is no ${CONFIG} at ${baseUrl}/. Give the address of the folder that holds it.`,
      detail: { path: CONFIG, baseUrl },
    });
  }
  const wanted = [SINGLE_FILE, INDEX_FILE, ...USUAL_TEXTS.filter((path) => path !== CONFIG)];
  const found = await probeAll(baseUrl, wanted, ABSENT_OR_FORBIDDEN, options);
  const single = found.find(({ path }) => path === SINGLE_FILE);
  const index = found.find(({ path }) => path === INDEX_FILE);
  const hasTokenizer = found.some(({ path }) => path === TOKENIZER);
  const others = hasTokenizer ? [] : await probeAll(baseUrl, OTHER_TOKENIZERS, ABSENT_OR_FORBIDDEN, options);
  const texts = [...found.filter((file) => file !== single && file !== index), ...others];
  if (single) return [config, single, ...texts];
  if (index) return [config, index, ...(await findShards(baseUrl, index, options)), ...texts];
  const weights = await findOtherWeights(baseUrl, options);
  if (weights.length > 0) return [config, ...weights, ...texts];
  throw new LoadError('no_safetensors', {
    message: `Neither ${SINGLE_FILE} nor ${INDEX_FILE} is at ${baseUrl}/, nor weights under another usual name.`,
    detail: { baseUrl },
  });
}

/** Weights under names that are not asked for at first; those that cannot be loaded, too, so that they can be named. */
async function findOtherWeights(baseUrl: string, options: AskOptions): Promise<readonly StaticFile[]> {
  const [first] = await probeAll(baseUrl, OTHER_WEIGHTS, ABSENT_OR_FORBIDDEN, options);
  if (!first) return probeAll(baseUrl, OTHER_FORMATS, ABSENT_OR_FORBIDDEN, options);
  if (first.path.endsWith('.json')) return [first, ...(await findShards(baseUrl, first, options))];
  return probeAll(baseUrl, completeSet(first.path), ABSENT_OR_FORBIDDEN, options);
}

async function findShards(baseUrl: string, index: StaticFile, options: AskOptions): Promise<readonly StaticFile[]> {
  const { shards } = parseWeightsIndex(await readSmallFile(index.url, options), index.path);
  if (shards.length > MAX_SHARDS) {
    throw new LoadError('safetensors_invalid', {
      message: `${index.path} names ${shards.length} files; the limit is ${MAX_SHARDS}.`,
      detail: { reason: 'index_too_large', file: index.path },
    });
  }
  const found = await probeAll(baseUrl, shards, ABSENT_OR_FORBIDDEN, options);
  const present = new Set(found.map(({ path }) => path));
  const missing = shards.filter((path) => !present.has(path));
  if (missing.length === 0) return found;
  // An index that was left behind when the shards were cut anew.
  const [first] = await probeAll(baseUrl, OTHER_WEIGHTS.filter(isFirstShard), ABSENT_OR_FORBIDDEN, options);
  const set = first ? completeSet(first.path) : [];
  const complete = await probeAll(baseUrl, set, ABSENT_OR_FORBIDDEN, options);
  if (complete.length > 0 && complete.length === set.length) return complete;
  throw new LoadError('file_not_found', {
    message: `${index.path} names ${missing.length} files that are not at ${baseUrl}/: ${nameSome(missing)}.`,
    detail: { files: missing, index: index.path, baseUrl },
  });
}

/** Those of the files that are there, in order. */
async function probeAll(
  baseUrl: string,
  paths: readonly string[],
  absentStatuses: readonly number[],
  options: AskOptions,
): Promise<readonly StaticFile[]> {
  const found = new Map<string, StaticFile>();
  await forEachConcurrent(
    paths,
    CONCURRENT_PROBES,
    async (path) => {
      const url = `${baseUrl}/${encodePath(path)}`;
      const file = await probeFile(url, kindOf(path), absentStatuses, options);
      if (file) found.set(path, { path, url, ...file });
    },
    options.signal,
  );
  return paths.flatMap((path) => found.get(path) ?? []);
}

function kindOf(path: string): FileKind {
  // A web page is text, but neither JSON nor a SentencePiece model.
  return path.endsWith('.safetensors') ? 'weights' : /\.(?:json|model)$/u.test(path) ? 'json' : 'text';
}
