/**
 * The ways to name a model in the form, in words.
 */
import type { FolderSource } from '../client/local-folder.ts';
import { formatBytes } from './format.ts';

/** How a model is named: by an id (hub or bundled), a folder, an address. */
export type SourceKind = 'id' | 'folder' | 'url';

/** In the order of the form. */
export const SOURCE_KINDS: readonly { readonly value: SourceKind; readonly label: string }[] = [
  { value: 'id', label: 'Hub or bundled id' },
  { value: 'folder', label: 'Folder on this computer' },
  { value: 'url', label: 'Web address' },
];

/** A chosen folder in a few words: its name, and how much is in it where that is known without asking the disk. */
export function describeFolder({ folder, name }: FolderSource): string {
  if ('kind' in folder) return name ?? (folder.name || 'a folder without a name');
  const files = Array.from(folder, (item) =>
    'file' in item ? item : { path: item.webkitRelativePath || item.name, file: item },
  );
  const tops = new Set(files.map(({ path }) => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '')));
  const [top = ''] = tops;
  const shown = name ?? (tops.size === 1 && top !== '' ? top : 'loose files');
  const sizeBytes = files.reduce((sum, { file }) => sum + file.size, 0);
  return `${shown}, ${files.length} ${files.length === 1 ? 'file' : 'files'}, ${formatBytes(sizeBytes)}`;
}
