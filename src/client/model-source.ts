/**
 * What a page names as a model: an id, an address, or a folder on this computer.
 *
 * In: a {@link ModelSource} from the page. Out: the name and the origin that cross to the worker. Guarantees: an address is
 * absolute and carries neither credentials nor a query; of a folder only handles cross, never bytes.
 */
import { LoadError } from '../contract/errors.ts';
import type { ModelOrigin } from '../contract/snapshot.ts';
import { toFetchable } from './environment.ts';
import { openFolder } from './local-folder.ts';
import type { FolderSource } from './local-folder.ts';

/** A folder of any static web server that holds a repository's files: config.json and safetensors side by side. */
export interface AddressSource {
  /** Absolute, or relative to the page. A slash at its end makes no difference. */
  readonly baseUrl: string;
}

/** A model: its id at the hub (or with the page), an address, or a folder on this computer. */
export type ModelSource = string | AddressSource | FolderSource;

/** A source as a load's request holds it. */
export interface NamedOrigin {
  readonly modelId: string;
  readonly origin: ModelOrigin;
}

/** @throws LoadError `invalid_argument`; `storage_failed` where the folder may not be read */
export async function toNamedOrigin(source: ModelSource, pageUrl: string | undefined): Promise<NamedOrigin> {
  if (typeof source === 'string') return { modelId: source, origin: { type: 'id' } };
  if ('baseUrl' in source) {
    const baseUrl = checkBaseUrl(source.baseUrl, pageUrl);
    return { modelId: baseUrl.replace(/^https?:\/\//u, ''), origin: { type: 'url', baseUrl } };
  }
  const { name, folder } = await openFolder(source);
  return { modelId: name, origin: { type: 'folder', folder } };
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
  throw new LoadError('invalid_argument', {
    message: `The address of a model is not usable: ${fault ?? ''}.`,
    detail: { argument: 'baseUrl' },
  });
}
