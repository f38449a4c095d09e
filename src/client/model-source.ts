/**
 * What a page names as a model: an id, an address, or a folder on this computer.
 *
 * In: a {@link ModelSource} from the page. Out: the name, the revision and the origin that cross to the worker. Guarantees: an
 * id is one (see contract/model-name.ts for what is understood); an address is absolute and carries neither credentials nor a query; of a folder only handles cross, never bytes.
 */
import { LoadError } from '../contract/errors.ts';
import { readModelName } from '../contract/model-name.ts';
import type { ModelOrigin } from '../contract/snapshot.ts';
import { toFetchable } from './environment.ts';
import { openFolder } from './local-folder.ts';
import type { FolderSource } from './local-folder.ts';

/** A folder of any static web server that holds a repository's files: config.json and safetensors side by side. */
export interface AddressSource {
  /** Absolute, or relative to the page. A slash at its end makes no difference. */
  readonly baseUrl: string;
}

/**
 * A model: its id at the hub (or with the page), a folder at an address, or a folder on this computer. For an id, the address of
 * a page or a file of the repository does as well (`https://huggingface.co/org/name/tree/v1`), and `hf://org/name@v1`.
 */
export type ModelSource = string | AddressSource | FolderSource;

/** A source as a load's request holds it. */
export interface NamedOrigin {
  readonly modelId: string;
  readonly revision: string;
  readonly origin: ModelOrigin;
}

/** What a source is read with. */
export interface NamingContext {
  /** As the call's options have it. */
  readonly revision: string | undefined;
  /** The hub that is asked. */
  readonly endpoint: string;
  readonly pageUrl: string | undefined;
}

/** @throws LoadError `invalid_argument`; `storage_failed` where the folder may not be read */
export async function toNamedOrigin(source: ModelSource, context: NamingContext): Promise<NamedOrigin> {
  const { revision, endpoint, pageUrl } = context;
  if (typeof source === 'string') return { ...readName(source, revision, endpoint), origin: { type: 'id' } };
  if (revision !== undefined) {
    throw refuse('revision', 'A folder or an address has no revisions: leave "revision" out.');
  }
  if ('baseUrl' in source) {
    const baseUrl = checkBaseUrl(source.baseUrl, pageUrl);
    return { modelId: baseUrl.replace(/^https?:\/\//u, ''), revision: 'main', origin: { type: 'url', baseUrl } };
  }
  const { name, folder } = await openFolder(source);
  return { modelId: name, revision: 'main', origin: { type: 'folder', folder } };
}

function checkBaseUrl(baseUrl: string, pageUrl: string | undefined): string {
  const url = toFetchable(baseUrl, pageUrl);
  const fault =
    url === null
      ? 'it must start with https:// or http://'
      : url.username !== '' || url.password !== ''
        ? 'it must not carry a user name or password'
        : url.search !== '' || url.hash !== ''
          ? 'it must have neither "?" nor "#", because file names are put behind it'
          : null;
  if (url !== null && fault === null) return url.href.replace(/\/+$/u, '');
  // The address is not repeated: it may hold a password or a signature.
  throw refuse('baseUrl', `The address of a model is not usable: ${fault ?? ''}.`);
}

/** An id with its revision: two that are named and differ would be a guess. */
function readName(text: string, revision: string | undefined, endpoint: string): { modelId: string; revision: string } {
  const name = readModelName(text, endpoint);
  if ('fault' in name) throw refuse('modelId', name.fault);
  if (revision !== undefined && name.revision !== null && name.revision !== revision) {
    throw refuse(
      'revision',
      `The address names the revision "${name.revision}", the option "${revision.slice(0, 120)}": leave one out.`,
    );
  }
  return { modelId: name.modelId, revision: revision ?? name.revision ?? 'main' };
}

function refuse(argument: string, message: string): LoadError {
  return new LoadError('invalid_argument', { message, detail: { argument } });
}
