/**
 * What loads, of this tab and others, tell each other about blobs, over one BroadcastChannel.
 *
 * The tab that holds a blob's lock says how many bytes it has; a tab that waits for the lock may ask it for a few bytes
 * (a checkpoint's header), so that even those cross the network once. A message lost or unanswered costs nothing: the
 * waiting tab gets the lock when the leader ends, however it ends.
 */

/** Told about another tab's work. */
export interface BlobChannelListener {
  onProgress(doneBytes: number): void;
  /** Another tab asks for bytes; `reply` sends them. */
  onNeed(start: number, end: number, reply: (bytes: Uint8Array<ArrayBuffer>) => void): void;
  onBytes(start: number, end: number, bytes: Uint8Array<ArrayBuffer>): void;
}

type Message =
  | { readonly type: 'progress'; readonly key: string; readonly doneBytes: number }
  | { readonly type: 'need'; readonly key: string; readonly start: number; readonly end: number }
  | {
      readonly type: 'bytes';
      readonly key: string;
      readonly start: number;
      readonly end: number;
      readonly bytes: Uint8Array<ArrayBuffer>;
    };

/** The channel; one a load: loads of one page tell each other the same as those of two tabs. */
export class BlobChannel {
  readonly #channel = new BroadcastChannel('firstlight:blobs');
  readonly #listeners = new Map<string, BlobChannelListener>();

  constructor() {
    this.#channel.onmessage = (event: MessageEvent<Message>) => {
      const message = event.data;
      const listener = this.#listeners.get(message.key);
      if (!listener) return;
      if (message.type === 'progress') listener.onProgress(message.doneBytes);
      else if (message.type === 'bytes') listener.onBytes(message.start, message.end, message.bytes);
      else {
        const { key, start, end } = message;
        listener.onNeed(start, end, (bytes) => this.#post({ type: 'bytes', key, start, end, bytes }));
      }
    };
  }

  listen(key: string, listener: BlobChannelListener): void {
    this.#listeners.set(key, listener);
  }

  unlisten(key: string): void {
    this.#listeners.delete(key);
  }

  sendProgress(key: string, doneBytes: number): void {
    this.#post({ type: 'progress', key, doneBytes });
  }

  sendNeed(key: string, start: number, end: number): void {
    this.#post({ type: 'need', key, start, end });
  }

  close(): void {
    this.#channel.close();
  }

  #post(message: Message): void {
    this.#channel.postMessage(message);
  }
}
