/**
 * The worker in which a page's models live: found, measured, and made to fail.
 */
import type { CDPSession, JSHandle, Page, Worker } from '@playwright/test';
import { MODEL_WORKER_PREFIX } from '../../src/contract/worker-api.ts';
import type { Loader } from '../../src/index.ts';
import type { Hub, RepositorySpec } from '../hub/index.ts';
import { checkpointFolder } from './support.ts';

/** The id of the tiny model that these tests load. */
export const ID = 'test/model';

/** A hub with one of the tiny checkpoints, and a loader for it. */
export async function openTiny(
  page: Page,
  openHub: (repositories: Readonly<Record<string, RepositorySpec>>) => Promise<Hub>,
  name = 'tiny-llama',
): Promise<{ hub: Hub; loader: JSHandle<Loader> }> {
  const hub = await openHub({ [ID]: { main: { directory: checkpointFolder(name) ?? '' } } });
  return { hub, loader: await openLoader(page, hub) };
}

/** A loader for a hub of the test. */
export function openLoader(page: Page, hub: Hub): Promise<JSHandle<Loader>> {
  return page.evaluateHandle(
    (endpoint) => window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null }),
    hub.endpoint,
  );
}

/** The same, with its worker started and kept alive by a model on WebAssembly, so that it can be meddled with before a load. */
export async function openTinyInWorker(
  page: Page,
  openHub: (repositories: Readonly<Record<string, RepositorySpec>>) => Promise<Hub>,
  name = 'tiny-llama',
): Promise<{ hub: Hub; loader: JSHandle<Loader>; worker: Worker }> {
  const { hub, loader } = await openTiny(page, openHub, name);
  await loader.evaluate((it, id) => it.load(id, { device: 'wasm', dtype: 'fp32' }).then(() => undefined), ID);
  return { hub, loader, worker: await findModelWorker(page) };
}

/** The page's model worker (onnxruntime's threads run the same script under other names). */
export async function findModelWorker(page: Page): Promise<Worker> {
  for (const worker of page.workers()) {
    const name = await worker.evaluate(() => self.name).catch(() => '');
    if (name.startsWith(MODEL_WORKER_PREFIX)) return worker;
  }
  throw new Error('the page has no model worker');
}

/** Bytes in use after garbage collection. */
export interface HeapUse {
  /** JavaScript objects. */
  readonly objectBytes: number;
  /** What array buffers hold outside of the heap. */
  readonly bufferBytes: number;
}

/** Measures the JavaScript heaps of the page and of its model worker, by the DevTools protocol. */
export async function openHeapMeter(page: Page): Promise<() => Promise<{ page: HeapUse; worker: HeapUse }>> {
  const session = await page.context().newCDPSession(page);
  const ask = await openWorkerSession(session);
  return async () => ({
    page: await measure((method) => session.send(method as 'Runtime.getHeapUsage')),
    worker: await measure(ask),
  });
}

type Ask = (method: string) => Promise<unknown>;

async function measure(ask: Ask): Promise<HeapUse> {
  // Twice: what the first collection finalises is garbage for the second.
  for (let round = 0; round < 2; round++) await ask('HeapProfiler.collectGarbage');
  const use = (await ask('Runtime.getHeapUsage')) as { usedSize: number; backingStorageSize: number };
  return { objectBytes: use.usedSize, bufferBytes: use.backingStorageSize };
}

/** Playwright gives no session for a worker, so the page's session passes messages on. */
async function openWorkerSession(session: CDPSession): Promise<Ask> {
  const answers = new Map<number, (result: unknown) => void>();
  let lastId = 0;
  session.on('Target.receivedMessageFromTarget', ({ message }) => {
    const { id, result } = JSON.parse(message) as { id?: number; result?: unknown };
    if (id !== undefined) answers.get(id)?.(result);
  });
  const attached = new Promise<string>((resolve) => {
    session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      if (targetInfo.title.startsWith(MODEL_WORKER_PREFIX)) resolve(sessionId);
    });
  });
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  const sessionId = await attached;
  return (method) => {
    const id = ++lastId;
    const answer = new Promise((resolve) => answers.set(id, resolve)).finally(() => answers.delete(id));
    void session.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method }) });
    return answer;
  };
}
