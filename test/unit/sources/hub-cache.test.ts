/**
 * Hugging Face's cache, chosen as a local folder. The layout is that of huggingface_hub
 * (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
 */
import { describe, expect, test } from 'vitest';
import { isLoadError, type LoadError } from '../../../src/contract/errors.ts';
import type { LocalFile } from '../../../src/contract/snapshot.ts';
import { openFolder } from '../../../src/client/local-folder.ts';
import { openLocalFolder } from '../../../src/pipeline/resolve/sources/local-folder.ts';

const OLD = '0'.repeat(40);
const NEW = '1'.repeat(40);
const signal = new AbortController().signal;

const file = (path: string, text = 'x'): LocalFile => ({ path, file: new File([text], path.split('/').at(-1) ?? '') });

/** As a page sees it that follows links: snapshots hold files. */
const REPOSITORY = [
  file('models--acme--tiny/blobs/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae'),
  file('models--acme--tiny/refs/main', NEW),
  file(`models--acme--tiny/snapshots/${OLD}/config.json`, 'old'),
  file(`models--acme--tiny/snapshots/${NEW}/config.json`, 'new'),
  file(`models--acme--tiny/snapshots/${NEW}/model.safetensors`),
  file(`models--acme--tiny/.no_exist/${NEW}/chat_template.jinja`),
];

/** As one sees it that does not. */
const LINKS_HIDDEN = REPOSITORY.filter(({ path }) => !path.includes('/snapshots/'));

async function open(files: readonly LocalFile[]) {
  const { name, folder } = await openFolder({ folder: files });
  return openLocalFolder(name, folder, signal);
}

async function failure(files: readonly LocalFile[]): Promise<LoadError> {
  const error: unknown = await open(files).catch((reason: unknown) => reason);
  if (!isLoadError(error)) throw new Error(`expected a LoadError, got ${String(error)}`);
  return error;
}

const within = (parent: string, files: readonly LocalFile[]): LocalFile[] =>
  files.map(({ path, file }) => ({ path: `${parent}/${path}`, file }));

describe("Hugging Face's cache as a local folder", () => {
  const hub = [
    ...within('hub', REPOSITORY),
    file('hub/version.txt', '1'),
    file(`hub/datasets--acme--texts/snapshots/${OLD}/config.json`),
  ];

  test.each([
    ['one repository', REPOSITORY],
    ['the whole cache with one model in it', hub],
    ['the folder above it', within('huggingface', hub)],
  ])('the snapshot is taken that the branch main stands at: %s', async (_, files) => {
    const { snapshot, files: opened } = await open(files);
    expect(snapshot.files.map(({ path }) => path)).toEqual(['config.json', 'model.safetensors']);
    expect(new TextDecoder().decode(await opened.readAll('config.json'))).toBe('new');
  });

  test('the only snapshot is taken where the branch is not there', async () => {
    const one = REPOSITORY.filter(({ path }) => !path.includes(OLD) && !path.includes('/refs/'));
    expect((await open(one)).snapshot.files.map(({ path }) => path)).toEqual(['config.json', 'model.safetensors']);
  });

  test('a snapshot chosen by itself is a folder like any other', async () => {
    const files = REPOSITORY.filter(({ path }) => path.includes(NEW) && !path.includes('.no_exist'));
    const plain = files.map(({ path, file }) => ({ path: path.replace('models--acme--tiny/snapshots/', ''), file }));
    expect((await open(plain)).snapshot.files.map(({ path }) => path)).toEqual(['config.json', 'model.safetensors']);
  });

  test.each([
    ['one repository', LINKS_HIDDEN],
    ['the whole cache', within('hub', LINKS_HIDDEN)],
  ])('file_not_found: where links are not shown, how to get a plain folder: %s', async (_, files) => {
    const error = await failure(files);
    expect(error).toMatchObject({ code: 'file_not_found', detail: { reason: 'cache_of_links', modelId: 'acme/tiny' } });
    expect(error.message).toContain('hf download acme/tiny --local-dir');
  });

  test('invalid_argument: several models are named, none is guessed', async () => {
    const other = REPOSITORY.map(({ path, file }) => ({ path: path.replace('acme--tiny', 'gpt2'), file }));
    const error = await failure(within('hub', [...REPOSITORY, ...other]));
    expect(error).toMatchObject({
      code: 'invalid_argument',
      detail: { reason: 'several_models', roots: ['acme/tiny', 'gpt2'] },
    });
  });

  test('a directory handle is walked alike', async () => {
    const { snapshot } = await openLocalFolder('models--acme--tiny', toHandle(REPOSITORY), signal);
    expect(snapshot.files.map(({ path }) => path)).toEqual(['config.json', 'model.safetensors']);
  });
});

/** The part of a directory handle that is used, over files in memory. */
function toHandle(files: readonly LocalFile[]): FileSystemDirectoryHandle {
  const below = files.map(({ path, file }) => ({ path: path.slice(path.indexOf('/') + 1), file }));
  const makeDirectory = (name: string, members: readonly LocalFile[]): object => ({
    kind: 'directory',
    name,
    async *entries() {
      const names = new Set(members.map(({ path }) => path.split('/')[0] ?? ''));
      for (const child of names) {
        const own = members.find(({ path }) => path === child);
        const inside = members
          .filter(({ path }) => path.startsWith(`${child}/`))
          .map(({ path, file }) => ({ path: path.slice(child.length + 1), file }));
        yield [
          child,
          own ? { kind: 'file', name: child, getFile: () => Promise.resolve(own.file) } : makeDirectory(child, inside),
        ];
      }
    },
  });
  return makeDirectory('models--acme--tiny', below) as FileSystemDirectoryHandle;
}
