/**
 * One HTTP listener that can go away and come back on the same port. In: a handler. Out: an origin.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** A port that answers, or refuses connections while it is stopped. */
export class Listener {
  readonly #host: string;
  readonly #handler: Handler;
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #port: number;

  constructor(host: string, port: number, handler: Handler) {
    this.#host = host;
    this.#port = port;
    this.#handler = handler;
  }

  get origin(): string {
    return `http://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.#port}`;
  }

  async start(): Promise<void> {
    if (this.#server !== null) return;
    const server = createServer((request, response) => {
      // A handler fails when its client went away in mid-answer, and then there is nobody left to tell.
      this.#handler(request, response).catch((error: unknown) => {
        if (!response.destroyed && !response.headersSent) response.writeHead(500).end(String(error));
        else response.destroy();
      });
    });
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.requestTimeout = 0;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, this.#host, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Ends every connection and refuses new ones. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
