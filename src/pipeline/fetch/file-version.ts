/**
 * Which version of a file a static server announced, and whether an answer is of that one. Pure.
 *
 * A file without a hash is known by its address and by the ETag or time of change that it had when it was looked up; its
 * address carries that as a fragment (see `SnapshotFile.url`). Equal is what a server would call equal for a cached copy
 * (RFC 9110, 8.8.3.2, weak comparison): whether an ETag is strong depends on what compressed the answer.
 */
import type { SnapshotFile } from '../../contract/snapshot.ts';

/** The ETag or Last-Modified that the file had; null where it is known by its hash, or the server told neither. */
export function readAnnouncedVersion({ hash, url }: Pick<SnapshotFile, 'hash' | 'url'>): string | null {
  const at = url.indexOf('#');
  if (hash !== null || at < 0) return null;
  return decodeURIComponent(url.slice(at + 1));
}

/** Whether the answer is certainly of another version; one that tells nothing comparable is believed. */
export function isOtherVersion(
  announced: string,
  answer: { readonly etag: string | null; readonly lastModified: string | null },
): boolean {
  const seen = isEtag(announced) ? answer.etag : answer.lastModified;
  return seen !== null && normalize(seen) !== normalize(announced);
}

function isEtag(version: string): boolean {
  return /^(?:W\/)?"/u.test(version);
}

/** Apache names the compression inside the ETag (`"abc-gzip"`). */
function normalize(version: string): string {
  return version.replace(/^W\//u, '').replace(/[-;](?:gzip|br|zstd|deflate)"$/u, '"');
}
