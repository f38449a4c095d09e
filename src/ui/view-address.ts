/**
 * Which view of the app an address means.
 *
 * In: a fragment, written by anybody. Out: one of the views. Guarantees: whatever is not known is the first view.
 */

/** The views, with the fragment that each has in the address. */
export const VIEWS = [
  { view: 'load', name: 'Load', href: '#load' },
  { view: 'cache', name: 'Cache', href: '#cache' },
] as const;

/** One of {@link VIEWS}. */
export type View = (typeof VIEWS)[number]['view'];

/** Reads `location.hash`. */
export function readView(hash: string): View {
  return VIEWS.find(({ href }) => href === hash)?.view ?? 'load';
}
