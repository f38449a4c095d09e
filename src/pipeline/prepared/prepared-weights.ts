/**
 * Stage 5's short cut: the weights of a load as an earlier one converted them, or this one's kept for the next.
 *
 * In: a plan and its snapshot. Out: a source to read from, or a keeper to hand converted bytes to, or neither. Guarantees:
 * nothing here ever fails a load: what cannot be read or kept is dropped with a notice, and the checkpoint is there; no byte
 * leaves a source unverified; a keeper that was not told to commit leaves nothing, whoever closes it and why.
 */
import { throwIfAborted } from '../../base/abort.ts';
import { isLoadError } from '../../contract/errors.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { BlobFiles } from '../../store/blob-files.ts';
import { createPrepared, dropPrepared, openPrepared, touchPrepared } from '../../store/prepared.ts';
import type { PreparedReader } from '../../store/prepared-reader.ts';
import type { PreparedContent } from '../../store/prepared-record.ts';
import type { PreparedWriter } from '../../store/prepared-writer.ts';
import { hasRoom } from '../../store/quota.ts';
import { CacheRecords } from '../../store/records.ts';
import { isQuotaError } from '../../store/storage-error.ts';
import type { WriteBytes } from '../fill/aligned-writer.ts';
import type { PreparedSlot } from './prepared-layout.ts';
import { describePrepared, layOutPrepared } from './prepared-layout.ts';

/** At most one of the two; close it when the load is over. */
export interface PreparedWeights {
  readonly source: PreparedSource | null;
  readonly keeper: PreparedKeeper | null;
  close(): Promise<void>;
}

/** Where nothing is kept. */
export const NO_PREPARED_WEIGHTS: PreparedWeights = { source: null, keeper: null, close: () => Promise.resolve() };

/** Before the download begins: the room that it will need is spared. */
export async function openPreparedWeights(
  plan: LoadPlan,
  snapshot: Snapshot,
  onNotice: (notice: string) => void,
): Promise<PreparedWeights> {
  try {
    const content = await describePrepared(plan, snapshot);
    if (!content) return NO_PREPARED_WEIGHTS;
    const slots = layOutPrepared(plan.weights);
    const store = { files: await BlobFiles.open(), records: new CacheRecords() };
    const reader = await openPrepared(store, content.key);
    if (reader) {
      // On a full disk this cannot be noted, and costs them no more than their place in the order of removal.
      await touchPrepared(store, reader.record).catch(() => undefined);
      const source = new PreparedSource(reader, slots, onNotice);
      return { source, keeper: null, close: () => source.close(() => dropPrepared(store, content.key)) };
    }
    const downloadBytes = plan.costs.downloadBytes - plan.costs.cachedBytes;
    if (!(await hasRoom(store.files, content.sizeBytes + downloadBytes))) {
      onNotice(noRoom(content));
      return NO_PREPARED_WEIGHTS;
    }
    const writer = await createPrepared(store, content);
    if (!writer) return NO_PREPARED_WEIGHTS; // another tab is making them
    const keeper = new PreparedKeeper(writer, content, slots, onNotice);
    return { source: null, keeper, close: () => keeper.discard() };
  } catch (error) {
    onNotice(`Prepared weights are neither read nor kept: ${describe(error)}`);
    return NO_PREPARED_WEIGHTS;
  }
}

/** Removes what a load has kept that nobody will read again; what another tab is reading stays. */
export async function removePreparedWeights(plan: LoadPlan, snapshot: Snapshot): Promise<void> {
  try {
    const content = await describePrepared(plan, snapshot);
    if (content) await dropPrepared({ files: await BlobFiles.open(), records: new CacheRecords() }, content.key);
  } catch {
    // They take room, and that is all that they do.
  }
}

/** Complete prepared weights. */
export class PreparedSource {
  readonly #reader: PreparedReader;
  readonly #slots: readonly PreparedSlot[];
  readonly #onNotice: (notice: string) => void;
  #readBytes = 0;
  #damaged = false;

  constructor(reader: PreparedReader, slots: readonly PreparedSlot[], onNotice: (notice: string) => void) {
    this.#reader = reader;
    this.#slots = slots;
    this.#onNotice = onNotice;
  }

  /** Bytes read and found right. */
  get readBytes(): number {
    return this.#readBytes;
  }

  /**
   * All buffers into a sink, which is awaited; false where the file turned out damaged: what was written is then to be written
   * again, from the checkpoint. @throws LoadError `aborted`, and what the sink throws
   */
  async stream(
    write: WriteBytes,
    signal: AbortSignal,
    onProgress: (doneBytes: number, totalBytes: number) => void,
  ): Promise<boolean> {
    const reading = this.#reader.readAll();
    let index = 0;
    try {
      for (;;) {
        throwIfAborted(signal);
        const next = await reading.next().catch((error: unknown) => this.#noteDamage(error));
        if (!next) return false;
        if (next.done) return true;
        const { start, end, bytes } = next.value;
        // Slots lie in order, as the bytes come: the last one may go on in the bytes that follow.
        for (let slot = this.#slots[index]; slot && slot.start < end; slot = this.#slots[++index]) {
          const [from, to] = [Math.max(slot.start, start), Math.min(slot.end, end)];
          if (from < to) await write(slot.buffer, from - slot.start, bytes.subarray(from - start, to - start));
          if (slot.end > end) break;
        }
        this.#readBytes += bytes.length;
        onProgress(end, this.#reader.record.sizeBytes);
      }
    } finally {
      await reading.return(undefined);
    }
  }

  /** One buffer, whole; null where it is a computed one, or the file turned out damaged. Dedicated workers only. */
  readBuffer(name: string, sizeBytes: number): Uint8Array<ArrayBuffer> | null {
    const slot = this.#slots.find(({ buffer }) => buffer === name);
    if (!slot || this.#damaged) return null;
    try {
      const bytes = this.#reader.readSync(slot.start, slot.end);
      this.#readBytes += bytes.length;
      return bytes.subarray(0, sizeBytes);
    } catch (error) {
      this.#noteDamage(error);
      return null;
    }
  }

  async close(drop: () => Promise<unknown>): Promise<void> {
    this.#reader.close();
    if (this.#damaged) await drop().catch(() => undefined); // the next load finds the damage again
  }

  #noteDamage(error: unknown): null {
    this.#damaged = true;
    this.#onNotice(`${describe(error)} They are dropped, and the model's own files are read instead.`);
    return null;
  }
}

/** Prepared weights in the making. */
export class PreparedKeeper {
  readonly #content: PreparedContent;
  readonly #slots: ReadonlyMap<string, PreparedSlot>;
  readonly #onNotice: (notice: string) => void;
  readonly #whole = new Set<string>();
  #writer: PreparedWriter | null;

  constructor(
    writer: PreparedWriter,
    content: PreparedContent,
    slots: readonly PreparedSlot[],
    onNotice: (notice: string) => void,
  ) {
    this.#writer = writer;
    this.#content = content;
    this.#slots = new Map(slots.map((slot) => [slot.buffer, slot]));
    this.#onNotice = onNotice;
  }

  /** Bytes for a buffer, whole words: what the device gets. */
  async keep(name: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
    const slot = this.#slots.get(name);
    if (slot) await this.#attempt((writer) => writer.write(slot.start + offsetBytes, bytes));
  }

  /** A whole buffer. The runtime asks twice for one that two tensors share. */
  keepWhole(name: string, bytes: Uint8Array): void {
    const slot = this.#slots.get(name);
    if (!slot || this.#whole.has(name)) return;
    this.#whole.add(name);
    const sizeBytes = slot.end - slot.start;
    void this.#attempt((writer) =>
      writer.write(slot.start, bytes.length === sizeBytes ? bytes : pad(bytes, sizeBytes)),
    );
  }

  /** Once what was kept is known to be right: flushes and records it. */
  async commit(): Promise<void> {
    await this.#attempt((writer) => writer.commit());
  }

  async discard(): Promise<void> {
    const writer = this.#writer;
    this.#writer = null;
    await writer?.discard().catch(() => undefined); // without a record it is rubbish, which the next start removes
  }

  /** The first failure ends the keeping. */
  async #attempt(work: (writer: PreparedWriter) => void | Promise<void>): Promise<void> {
    const writer = this.#writer;
    if (!writer) return;
    try {
      await work(writer);
    } catch (error) {
      this.#onNotice(isQuotaError(error) ? noRoom(this.#content) : `Prepared weights are not kept: ${describe(error)}`);
      await this.discard();
    }
  }
}

function pad(bytes: Uint8Array, sizeBytes: number): Uint8Array {
  const padded = new Uint8Array(sizeBytes);
  padded.set(bytes);
  return padded;
}

function noRoom({ dtype, sizeBytes }: PreparedContent): string {
  return `The prepared ${dtype} weights (${sizeBytes} bytes) are not kept, for want of room: the next load converts again.`;
}

function describe(error: unknown): string {
  return isLoadError(error) ? error.message : String(error);
}
