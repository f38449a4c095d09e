/**
 * huggingface_hub's cache on this computer, chosen as a folder: which of its folders is the model.
 *
 * In: paths below the chosen folder, which is one repository of the cache or the whole cache, and a way to read a small file.
 * Out: the folder of the snapshot that the branch main stands at. Guarantees: any other folder is left alone; a snapshot of
 * links that this browser does not follow is explained, and nothing is guessed of files that have hashes for names.
 *
 * Layout (https://huggingface.co/docs/huggingface_hub/guides/manage-cache): `models--ORG--NAME/` with `refs/BRANCH`, a text that
 * names a commit, `blobs/HASH`, the files, and `snapshots/COMMIT/PATH`, links to them, or the files themselves where the system
 * allows no links. Chromium shows a page no links, whether the folder was picked, dropped, or given to `<input webkitdirectory>`;
 * another browser may show what they lead to.
 */
import { LoadError } from '../../../contract/errors.ts';

/** `null` where the paths are not those of the cache. @throws LoadError `file_not_found`, `invalid_argument`, and what `readText` throws */
export async function findCachedSnapshot(
  paths: readonly string[],
  folderName: string,
  readText: (path: string) => Promise<string>,
): Promise<string | null> {
  const repositories = listRepositories(paths);
  const [repository] = repositories;
  if (!repository) return null;
  if (repositories.length > 1) {
    const ids = repositories.map(({ folder }) => toModelId(folder) ?? folder);
    throw new LoadError('invalid_argument', {
      message: `"${folderName}" is a cache of ${ids.length} models: ${ids.slice(0, MAX_NAMED).join(', ')}. Choose the folder of one.`,
      detail: { argument: 'folder', reason: 'several_models', roots: ids.slice(0, MAX_NAMED) },
    });
  }
  const { prefix, folder } = repository;
  const commits = [...new Set(paths.flatMap((path) => readCommit(path, prefix)))];
  const ref = `${prefix}refs/main`;
  const main = paths.includes(ref) ? (await readText(ref)).trim() : null;
  const commit = commits.find((candidate) => candidate === main) ?? (commits.length === 1 ? commits[0] : undefined);
  if (commit !== undefined) return `${prefix}snapshots/${commit}`;
  const modelId = toModelId(folder) ?? toModelId(folderName);
  throw new LoadError('file_not_found', {
    message:
      `"${folderName}" is a folder of Hugging Face's cache, where files stand under their hashes and have names only as links, ` +
      `which were not shown to this page. Make a plain folder of it with "hf download ${modelId ?? 'ORG/NAME'} --local-dir FOLDER".`,
    detail: { reason: 'cache_of_links', folder: folderName, modelId, commit: main },
  });
}

/** More are counted, not named. */
const MAX_NAMED = 20;

interface CachedRepository {
  /** `''`, or the path down to the repository with a slash. */
  readonly prefix: string;
  readonly folder: string;
}

function listRepositories(paths: readonly string[]): readonly CachedRepository[] {
  const isOne = paths.some((path) => /^snapshots\/[0-9a-f]{40}\//.test(path) || /^blobs\/[0-9a-f]{40,64}$/.test(path));
  if (isOne && paths.some((path) => path.startsWith('refs/'))) return [{ prefix: '', folder: '' }];
  const found = new Map<string, CachedRepository>();
  for (const path of paths) {
    const match = /^(?<prefix>(?:.*\/)?(?<folder>models--[^/]+)\/)(?:refs|blobs|snapshots)\//.exec(path);
    const { prefix, folder } = match?.groups ?? {};
    if (prefix !== undefined && folder !== undefined) found.set(prefix, { prefix, folder });
  }
  return [...found.values()];
}

function readCommit(path: string, prefix: string): string | [] {
  if (!path.startsWith(prefix)) return [];
  return /^snapshots\/(?<commit>[0-9a-f]{40})\/./.exec(path.slice(prefix.length))?.groups?.['commit'] ?? [];
}

/** `models--ORG--NAME` → `ORG/NAME`; null for any other name. */
function toModelId(folder: string): string | null {
  return /^models--(?<id>.+)$/.exec(folder)?.groups?.['id']?.replace('--', '/') ?? null;
}
