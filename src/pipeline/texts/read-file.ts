/**
 * Reads one small file of a repository as text or as a JSON object.
 *
 * In: a path that the snapshot has. Out: what Python would read there: UTF-8, and for templates line ends made `\n`.
 * Guarantees: what is larger than any real file of its kind is not read at all.
 */
import { LoadError } from '../../contract/errors.ts';
import type { ErrorCode } from '../../contract/errors.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { refuseLfsPointer } from '../../formats/repository/lfs-pointer.ts';
import { readJson as parseJson } from '../../formats/repository/repository-json.ts';
import { isJsonObject } from '../../formats/tokenizer/json-object.ts';
import type { JsonObject } from '../../formats/tokenizer/json-object.ts';
import type { SnapshotFiles } from '../fetch/service.ts';

/** What these functions need of a repository. */
export interface TextSource {
  readonly snapshot: Pick<Snapshot, 'files'>;
  readonly files: Pick<SnapshotFiles, 'readAll'>;
}

/** What a file is for. */
export interface TextKind {
  /** A larger file is refused. */
  readonly maxBytes: number;
  readonly code: Extract<ErrorCode, 'config_invalid' | 'tokenizer_invalid'>;
}

const MIB = 2 ** 20;

/** The kinds that there are. Each limit is several times the largest file that is known: it is held in memory whole. */
export const TEXT_KINDS = {
  /** Gemma's tokenizer.json has 33 MB; parsed, it takes several times as much. */
  vocabulary: { maxBytes: 128 * MIB, code: 'tokenizer_invalid' },
  /** tokenizer_config.json lists every added token: Mistral's 1000 reserved ones make 200 kB. */
  tokenizerConfig: { maxBytes: 16 * MIB, code: 'tokenizer_invalid' },
  /** The longest templates have some 30 kB. */
  template: { maxBytes: MIB, code: 'tokenizer_invalid' },
  config: { maxBytes: MIB, code: 'config_invalid' },
  /** A logit for each of 260,000 tokens makes some 6 MB. */
  fixture: { maxBytes: 16 * MIB, code: 'config_invalid' },
} as const satisfies Record<string, TextKind>;

/**
 * The bytes of a file; null where the snapshot lacks it.
 * @throws LoadError of the kind's code, `lfs_pointer`, and what reading throws
 */
export async function readBytes(
  { snapshot, files }: TextSource,
  path: string,
  kind: TextKind,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  const file = snapshot.files.find((one) => one.path === path);
  if (!file) return null;
  if (file.sizeBytes > kind.maxBytes) {
    const { sizeBytes } = file;
    throw invalid(kind, path, `has ${sizeBytes} bytes; the limit is ${kind.maxBytes}`, { sizeBytes });
  }
  const bytes = await files.readAll(path, { signal });
  refuseLfsPointer(bytes, path);
  return bytes;
}

/** As {@link readBytes}; the text keeps a byte order mark, as Python does. */
export async function readText(
  source: TextSource,
  path: string,
  kind: TextKind,
  signal: AbortSignal,
): Promise<string | null> {
  const bytes = await readBytes(source, path, kind, signal);
  if (bytes === null) return null;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.replace(/\r\n?/gu, '\n');
  } catch (error) {
    throw invalid(kind, path, 'is not in UTF-8', {}, error);
  }
}

/** As {@link readBytes}. */
export async function readJson(
  source: TextSource,
  path: string,
  kind: TextKind,
  signal: AbortSignal,
): Promise<JsonObject | null> {
  const bytes = await readBytes(source, path, kind, signal);
  if (bytes === null) return null;
  const { value } = parseJson(bytes, path, (cause) => invalid(kind, path, 'is not JSON in UTF-8', {}, cause));
  if (!isJsonObject(value)) throw invalid(kind, path, 'holds no JSON object');
  return value;
}

/** Runs what knows no codes: whatever it throws becomes `tokenizer_invalid`. */
export function explain<T>(read: () => T, what = ''): T {
  try {
    return read();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LoadError('tokenizer_invalid', { message: `${what} ${reason}`.trim(), cause: error });
  }
}

function invalid(
  { code }: TextKind,
  path: string,
  what: string,
  detail: Readonly<Record<string, unknown>> = {},
  cause?: unknown,
): LoadError {
  return new LoadError(code, { message: `${path} ${what}.`, detail: { path, ...detail }, cause });
}
