/** A service worker that uses the library. */
import { attempt } from './attempt.ts';
import type { Wish } from './attempt.ts';

self.addEventListener('message', (event: MessageEvent<Wish>) => {
  const [port] = event.ports;
  const answering = attempt(event.data).then((outcome) => port?.postMessage(outcome));
  (event as unknown as { waitUntil(work: Promise<unknown>): void }).waitUntil(answering);
});
