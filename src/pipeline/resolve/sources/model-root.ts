/**
 * Which folder of a folder is the model. Pure.
 *
 * In: paths below the chosen folder. Out: the root, `''` for the chosen folder itself. Guarantees: config.json lies in it, or what tells that it is
 * no model; where several folders could be meant, nothing is guessed.
 */
import { LoadError } from '../../../contract/errors.ts';
import { isKnownKind } from '../../../formats/repository/known-formats.ts';
import { mayBeLinks } from '../../../formats/repository/weight-files.ts';

const CONFIG = 'config.json';

/** What stands in its place in folders that are no model: the plan says what they are. */
const OTHER_MARKERS = ['adapter_config.json', 'model_index.json'];

/** More are counted, not named. */
const MAX_NAMED_ROOTS = 20;

/**
 * The folder that holds config.json. A config.json further down belongs to the model above it (a pooling layer, an earlier
 * checkpoint); two side by side are two models.
 * @throws LoadError `file_not_found`, `invalid_argument` (reason `several_models`)
 */
export function findModelRoot(paths: readonly string[], folderName: string): string {
  const [named, ...others] = [CONFIG, ...OTHER_MARKERS].map((marker) => findRoots(paths, marker));
  const roots = named?.length ? named : (others.find((folders) => folders.length > 0) ?? []);
  const [root] = roots;
  if (root === undefined) {
    if (isKnownKind(paths)) return ''; // weights of another format, without any config
    if (paths.length === 0) {
      throw new LoadError('file_not_found', {
        message:
          `This page sees no file in "${folderName}".${mayBeLinks('folder')} The snapshots in Hugging Face's cache are made of links: ` +
          'make a plain folder with "hf download ORG/NAME --local-dir FOLDER".',
        detail: { path: CONFIG, folder: folderName, fileCount: 0, reason: 'no_files' },
      });
    }
    throw new LoadError('file_not_found', {
      message: `Neither "${folderName}" nor a folder in it holds a config.json (${paths.length} files were seen).${mayBeLinks('folder')}`,
      detail: { path: CONFIG, folder: folderName, fileCount: paths.length },
    });
  }
  if (roots.length > 1) {
    const named = roots.slice(0, MAX_NAMED_ROOTS).join(', ') + (roots.length > MAX_NAMED_ROOTS ? ', …' : '');
    throw new LoadError('invalid_argument', {
      message: `"${folderName}" holds ${roots.length} models: ${named}. Choose the folder of one of them.`,
      detail: { argument: 'folder', reason: 'several_models', roots: roots.slice(0, MAX_NAMED_ROOTS) },
    });
  }
  return root;
}

function findRoots(paths: readonly string[], marker: string): readonly string[] {
  const folders = paths.filter((path) => path === marker || path.endsWith(`/${marker}`)).map(toFolder);
  return folders.filter((folder) => !folders.some((other) => folder !== other && isBelow(folder, other))).sort();
}

function toFolder(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function isBelow(folder: string, other: string): boolean {
  return other === '' ? folder !== '' : folder.startsWith(`${other}/`);
}
