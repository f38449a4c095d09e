/**
 * Addresses that a page accepts before it asks anybody; for names of models see contract/model-name.ts.
 *
 * In: text from a field. Out: null where it can be asked for, else a sentence that says what is wrong.
 */

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
