/** A dedicated worker that uses the library. */
import { attempt } from './attempt.ts';
import type { Wish } from './attempt.ts';

self.addEventListener('message', ({ data }: MessageEvent<Wish>) => {
  void attempt(data).then((outcome) => self.postMessage(outcome));
});
