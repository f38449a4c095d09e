/**
 * The `Link` header (RFC 8288), as far as paging needs it. Pure.
 */

/** The absolute address that `rel="next"` points to; null where there is none. Relative ones start from `base`. */
export function parseNextLink(header: string | null, base: string): string | null {
  if (header === null) return null;
  for (const match of header.matchAll(/<([^<>]*)>((?:\s*;\s*[\w*-]+\s*(?:=\s*(?:"[^"]*"|[^\s",;]+))?)*)/g)) {
    const [, target = '', parameters = ''] = match;
    const rel = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s",;]+))/i.exec(parameters);
    const relations = (rel?.[1] ?? rel?.[2] ?? '').toLowerCase().split(/\s+/);
    if (relations.includes('next') && URL.canParse(target, base)) return new URL(target, base).href;
  }
  return null;
}
