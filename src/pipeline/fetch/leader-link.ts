/**
 * What the tabs that want the same blob tell each other while one of them, the leader, holds its lock: the leader its
 * progress, the others the small ranges that they cannot wait for.
 *
 * In: the list of wants. Out: the way to stop asking. Guarantees: a range that another tab asks for is a want like any other
 * here, and one however often it is asked for; one that the leader answers is answered there.
 */
import type { BlobChannel } from './blob-channel.ts';
import type { WantList } from './want-list.ts';

/** What both roles need. */
export interface LeaderLinkParts {
  readonly channel: BlobChannel;
  readonly key: string;
  readonly sizeBytes: number;
  readonly wants: WantList;
  /** Whether this tab leads now. */
  readonly isLeading: () => boolean;
  /** The leader told how many bytes are on disk. */
  readonly onProgress: (doneBytes: number) => void;
  /** A want came from another tab, or one of ours was answered there. */
  readonly onChange: () => void;
}

/** Listens, and asks the leader for what is urgent; yields the way to stop asking. `channel.unlisten` ends the listening. */
export function openLeaderLink(parts: LeaderLinkParts): () => void {
  const { channel, key, sizeBytes, wants, isLeading, onProgress, onChange } = parts;
  /** Ranges that other tabs wait for. They ask again and again, and want each of them once. */
  const needed = new Set<string>();
  channel.listen(key, {
    onProgress,
    onNeed: (start, end, reply) => {
      const range = `${start}-${end}`;
      if (!isLeading() || end > sizeBytes || end - start > MAX_NEED_BYTES || needed.has(range)) return;
      needed.add(range);
      const resolve = (bytes: Uint8Array<ArrayBuffer> | null): void => {
        needed.delete(range);
        if (bytes) reply(bytes); // else the blob is complete, and whoever asks finds it
      };
      wants.add({ kind: 'range', start, end, resolve, reject: () => needed.delete(range) });
      onChange();
    },
    onBytes: (start, end, bytes) => {
      wants.serve((want) => (want.kind === 'range' && want.start === start && want.end === end ? bytes : null));
      onChange();
    },
  });
  const timer = setInterval(() => {
    for (const want of wants.of('range')) channel.sendNeed(key, want.start, want.end);
  }, ASK_INTERVAL_MS);
  return () => clearInterval(timer);
}

const ASK_INTERVAL_MS = 100;

/** Others ask for headers and small files only. */
const MAX_NEED_BYTES = 16 * 1024 * 1024;
