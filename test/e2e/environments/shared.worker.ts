/** A shared worker that uses the library. */
import { attempt } from './attempt.ts';
import type { Wish } from './attempt.ts';

self.addEventListener('connect', (event) => {
  const [port] = (event as MessageEvent).ports;
  port?.addEventListener('message', ({ data }: MessageEvent<Wish>) => {
    void attempt(data).then((outcome) => port.postMessage(outcome));
  });
  port?.start();
});
