/**
 * What a checkpoint format is: how the files of a repository become tensors that the plan can match.
 *
 * Guarantees: a format does no I/O itself, it reads through what it is given; what it yields names no format, so that nothing
 * behind it depends on one. (Where a file brings its own config or vocabulary, {@link Checkpoint} is where they come out.)
 */
import type { CodecId } from '../contract/plan.ts';
import type { Snapshot, SnapshotFile } from '../contract/snapshot.ts';

/** Bytes of a file, half-open. */
export interface ByteRange {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

/** A tensor as a checkpoint holds it. */
export interface StoredTensor {
  readonly name: string;
  /** How its values are read; null where they cannot become weights. */
  readonly codec: CodecId | null;
  /** What the file calls its number format, for messages. */
  readonly storedAs: string;
  readonly shape: readonly number[];
  /** Its bytes, one range after another; most formats have one. */
  readonly ranges: readonly ByteRange[];
}

/** A checkpoint whose headers were read. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Through what a format reads. */
export interface CheckpointReader {
  readonly snapshot: Pick<Snapshot, 'files' | 'source'>;
  /** The whole content of a file. */
  readonly readAll: (path: string) => Promise<Uint8Array>;
  /** The bytes `[start, end)` of a file. */
  readonly readRange: (path: string, start: number, end: number) => Promise<Uint8Array>;
  readonly signal?: AbortSignal | undefined;
}

/** A format. */
export interface CheckpointFormat {
  /** Whether these files hold a checkpoint of this format. @throws LoadError where they do, but not a whole one, or several */
  readonly canRead: (files: readonly SnapshotFile[]) => boolean;
  /** Files that {@link open} reads whole: they are needed besides those that hold tensors. */
  readonly listIndexFiles: (files: readonly SnapshotFile[]) => readonly SnapshotFile[];
  /** Reads headers, kilobytes, of files that it {@link canRead}. @throws LoadError where they are damaged */
  readonly open: (reader: CheckpointReader) => Promise<Checkpoint>;
}
