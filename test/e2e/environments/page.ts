/**
 * The page: makes the attempt here, or has a worker of some kind make it.
 */
import { attempt, attemptEach } from './attempt.ts';
import type { Outcome, Wish } from './attempt.ts';

declare global {
  interface Window {
    readonly realms: typeof realms;
  }
}

const realms = {
  here: attempt,
  /** A model among the page's own files, given as a folder. */
  async own(wish: Wish, baseUrl: string, names: readonly string[]): Promise<Outcome> {
    const read = async (name: string): Promise<File> =>
      new File([await (await fetch(`${baseUrl}${name}`)).blob()], name);
    return attempt({ ...wish, model: { folder: await Promise.all(names.map(read)) } });
  },
  each: attemptEach,
  dedicated(wish: Wish): Promise<Outcome> {
    const worker = new Worker(new URL('./dedicated.worker.ts', import.meta.url), { type: 'module' });
    return ask(worker, wish);
  },
  shared(wish: Wish): Promise<Outcome> {
    const worker = new SharedWorker(new URL('./shared.worker.ts', import.meta.url), { type: 'module' });
    worker.port.start();
    return ask(worker.port, wish);
  },
  async service(wish: Wish): Promise<Outcome> {
    await navigator.serviceWorker.register('./service.js', { type: 'module' });
    const { active } = await navigator.serviceWorker.ready;
    if (!active) throw new Error('the service worker is not active');
    const { port1, port2 } = new MessageChannel();
    active.postMessage(wish, [port2]);
    port1.start();
    return answerOf(port1);
  },
};

Object.assign(window, { realms });

function ask(worker: Worker | MessagePort, wish: Wish): Promise<Outcome> {
  const answer = answerOf(worker);
  worker.postMessage(wish);
  return answer;
}

function answerOf(source: Worker | MessagePort): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const onMessage = ({ data }: MessageEvent<Outcome>): void => resolve(data);
    source.addEventListener('message', onMessage as EventListener, { once: true });
    source.addEventListener('error', (event) => reject(new Error((event as ErrorEvent).message)), { once: true });
  });
}
