/**
 * Names that a page accepts before it asks anybody.
 *
 * In: text from a field or an address. Out: null where it can be asked for, else a sentence that says what is wrong.
 * The rules are the hub's own for repository names (huggingface_hub, `validate_repo_id`) and git's for references
 * (git-check-ref-format), as far as a typing error can be told from a name that merely does not exist.
 */

const REPOSITORY_PART = /^[\w.-]{1,96}$/;
const REVISION = /^[\w][\w./+@-]{0,254}$/;

/** What is wrong with a model id, or null. */
export function checkModelId(modelId: string): string | null {
  if (modelId === '') return 'Give a model id, such as organisation/name.';
  const parts = modelId.split('/');
  if (parts.length > 2) return 'A model id has one slash: organisation/name.';
  for (const part of parts) {
    if (part === '') return 'A model id needs a name on both sides of the slash.';
    if (!REPOSITORY_PART.test(part))
      return 'A model id holds letters, digits, “-”, “_” and “.” only, at most 96 a part.';
    if (/^[.-]|[.-]$/.test(part)) return 'No part of a model id starts or ends with “-” or “.”.';
    if (part.includes('..') || part.includes('--')) return 'A model id holds neither “--” nor “..”.';
  }
  return null;
}

/** What is wrong with a revision (branch, tag or commit), or null. */
export function checkRevision(revision: string): string | null {
  if (revision === '') return 'Give a revision, such as main.';
  if (!REVISION.test(revision) || /\.\.|\/\/|@\{|[./]$|\.lock$/.test(revision)) {
    return 'A revision is a branch, a tag or a commit, without spaces.';
  }
  return null;
}

/** What is wrong with a hub's address, or null. Empty stands for the default hub. */
export function checkEndpoint(endpoint: string): string | null {
  if (endpoint === '') return null;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    return 'An endpoint is an address that starts with https:// or http://.';
  }
  if (url.username !== '' || url.password !== '')
    return 'Put no password into the address; there is a field for a token.';
  if (url.search !== '' || url.hash !== '') return 'An endpoint has neither “?” nor “#”.';
  return null;
}

/** What is wrong with the address of a model's folder, or null. */
export function checkBaseUrl(address: string): string | null {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    return 'Give the address of a folder, such as https://host/models/name/.';
  }
  if (url.username !== '' || url.password !== '') return 'Put no password into the address.';
  if (url.search !== '' || url.hash !== '') return 'File names are put behind the address: it has neither “?” nor “#”.';
  return null;
}
