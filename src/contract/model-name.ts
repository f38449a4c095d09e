/**
 * What a person types or pastes for a model: an id, or an address of the hub that leads to it. Pure.
 *
 * In: text, and the endpoint that is asked. Out: the id, and the revision where the address names one; else a sentence that
 * says what is wrong. Guarantees: what comes out is harmless in a URL; of an address with a password nothing is repeated.
 * Ids follow huggingface_hub's `validate_repo_id`, addresses its `parse_hf_uri` (which takes `hf://org/name@revision/path`
 * and the pages of a repository, its folders and its files), revisions git-check-ref-format.
 */

/** The hub itself; any endpoint that speaks its protocol will do. */
export const DEFAULT_ENDPOINT = 'https://huggingface.co';

/** A model, and the revision of it if one was named. */
export interface ModelName {
  readonly modelId: string;
  readonly revision: string | null;
}

/** A sentence that says what is wrong with a text. */
export interface NameFault {
  readonly fault: string;
}

/** Reads what somebody typed; see the file's header. `endpoint` may be half typed itself: it is then left out. */
export function readModelName(text: string, endpoint: string): ModelName | NameFault {
  const trimmed = text.trim();
  const body = /^hf:\/\//i.test(trimmed) ? readUri(trimmed.slice('hf://'.length)) : readAddress(trimmed, endpoint);
  if (body !== null && 'fault' in body) return body;
  const name = body ?? { modelId: trimmed.replace(/(?<=[^/])\/+$/, ''), revision: null };
  const fault = findModelIdFault(name.modelId) ?? (name.revision === null ? null : findRevisionFault(name.revision));
  return fault === null ? name : { fault };
}

/** What is wrong with a model id, `org/name` or a bare `name` of the early days (`gpt2`); null if nothing. */
export function findModelIdFault(modelId: string): string | null {
  if (modelId === '') return 'Give a model id, such as organisation/name.';
  const parts = modelId.split('/');
  if (parts.length > 2) return 'A model id has one slash: organisation/name.';
  for (const part of parts) {
    if (part === '') return 'A model id needs a name on both sides of the slash.';
    if (!/^[\w.-]{1,96}$/.test(part))
      return 'A model id holds letters, digits, “-”, “_” and “.” only, at most 96 a part.';
    if (/^[.-]|[.-]$/.test(part)) return 'No part of a model id starts or ends with “-” or “.”.';
  }
  if (/--|\.\./.test(modelId)) return 'A model id holds neither “--” nor “..”.';
  return modelId.endsWith('.git') ? 'A model id does not end with “.git”.' : null;
}

/** What is wrong with a revision: branch, tag, commit, or a ref such as `refs/pr/1`; null if nothing. */
export function findRevisionFault(revision: string): string | null {
  if (revision === '') return 'Give a revision, such as main.';
  const isOdd =
    revision.length > MAX_REVISION_LENGTH ||
    revision.split('/').some((part) => part === '' || part.startsWith('.') || part.endsWith('.lock')) ||
    /^[-@]$|^-|\.\.|@\{|\.$|[\s\p{Cc}~^:?*[\\]/u.test(revision);
  return isOdd ? 'A revision is a branch, a tag or the 40 digits of a commit, without spaces.' : null;
}

const MAX_REVISION_LENGTH = 256;

/** What the hub's first path segments stand for; without one of them it is a model. */
const KINDS: ReadonlyMap<string, string> = new Map([
  ['datasets', 'a dataset'],
  ['spaces', 'a Space'],
  ['kernels', 'a kernel'],
  ['buckets', 'a bucket'],
]);

/** Pages of a repository that show a revision. */
const VIEWS = new Set(['blame', 'blob', 'raw', 'resolve', 'tree']);

const HUB_HOSTS = ['huggingface.co', 'hf.co'];

/** Refs that hold slashes themselves; of any other revision, what comes behind a slash is the path of a file. */
const LONG_REF = /^refs\/(?:convert\/[\w.-]+|pr\/\d+)(?=\/|$)/;

/** Null: not an address at all. */
function readAddress(text: string, endpoint: string): ModelName | NameFault | null {
  const mirror = URL.canParse(endpoint) ? new URL(endpoint) : null;
  const hosts = [...HUB_HOSTS, ...(mirror ? [mirror.host] : [])];
  const hasScheme = /^[a-z][a-z\d+.-]*:\/\//i.test(text);
  if (!hasScheme && !hosts.some((host) => text.toLowerCase().startsWith(`${host}/`))) return null;
  const address = hasScheme ? text : `https://${text}`;
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) return { fault: 'An address starts with https:// or hf://.' };
  if (url.username !== '' || url.password !== '') return { fault: 'Put no password into the address.' };
  if (!hosts.includes(url.host)) {
    return {
      fault:
        `The address is on ${url.host}, not on the hub that is asked (${mirror?.host ?? 'none'}). ` +
        'Another hub is given as endpoint, a plain folder of files as a web address.',
    };
  }
  const prefix = mirror?.host === url.host ? mirror.pathname.replace(/\/+$/, '') : '';
  const path = `${url.pathname}/`.startsWith(`${prefix}/`) ? url.pathname.slice(prefix.length) : url.pathname;
  return readPath(path.split('/').filter((segment) => segment !== ''));
}

function readPath(segments: readonly string[]): ModelName | NameFault {
  const kind = KINDS.get(segments[0] ?? '');
  if (kind !== undefined) return { fault: `This is the address of ${kind}, not of a model.` };
  const [owner, name, view, ...rest] = segments[0] === 'models' ? segments.slice(1) : segments;
  if (owner === undefined || name === undefined) {
    return { fault: `The address of a model has an organisation and a name: ${DEFAULT_ENDPOINT}/organisation/name.` };
  }
  if (view !== undefined && !VIEWS.has(view)) {
    return { fault: `This address leads to “${view.slice(0, 40)}” of a model. Give that of the model itself.` };
  }
  return { modelId: `${owner}/${name}`, revision: rest.length === 0 ? null : readRevision(rest.map(keepSlashes)) };
}

/** `[models/]org/name[@revision][/path]`. */
function readUri(body: string): ModelName | NameFault {
  const segments = body.replace(/^\/+|\/+$/g, '').split('/');
  if (/^(?:model|dataset|space|kernel|bucket)$/.test(segments[0] ?? '')) {
    return { fault: 'Kinds are written in the plural: hf://models/organisation/name.' };
  }
  const kind = KINDS.get(segments[0] ?? '');
  if (kind !== undefined) return { fault: `This is the address of ${kind}, not of a model.` };
  const [owner = '', nameAndRevision, ...rest] = segments[0] === 'models' ? segments.slice(1) : segments;
  if (nameAndRevision === undefined) return { fault: 'An address of this kind is hf://organisation/name.' };
  if (rest.includes('')) return { fault: 'The address has an empty part between two slashes.' };
  const at = nameAndRevision.indexOf('@');
  if (at === -1) return { modelId: `${owner}/${nameAndRevision}`, revision: null };
  const tail = [nameAndRevision.slice(at + 1), ...rest];
  return { modelId: `${owner}/${nameAndRevision.slice(0, at)}`, revision: readRevision(tail) };
}

/** A revision and the path behind it, by segments. */
function readRevision(segments: readonly string[]): string {
  const [long] = LONG_REF.exec(segments.join('/')) ?? [];
  return decode(long ?? segments[0] ?? '');
}

/** A segment of an address as it was meant, but for slashes: those stay encoded, so that it remains one segment. */
function keepSlashes(segment: string): string {
  return decode(segment).replaceAll('/', '%2F');
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
