import * as Comlink from 'comlink';
import { MessageChannel } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { installErrorTransfer } from '../../../src/base/comlink-errors.ts';
import { isLoadError, LoadError } from '../../../src/contract/errors.ts';

installErrorTransfer();
installErrorTransfer();

async function throwAcross(thrown: unknown): Promise<unknown> {
  const { port1, port2 } = new MessageChannel();
  // Node's ports have no addEventListener with options, but serve.
  const api = {
    fail: (): Promise<void> => {
      throw thrown;
    },
  };
  Comlink.expose(api, port1 as unknown as Comlink.Endpoint);
  const remote = Comlink.wrap<typeof api>(port2 as unknown as Comlink.Endpoint);
  try {
    await remote.fail();
    return null;
  } catch (error) {
    return error;
  } finally {
    port1.close();
  }
}

it('carries every field of a LoadError, and its causes', async () => {
  const sent = new LoadError('integrity_mismatch', {
    message: 'model.safetensors',
    stage: 'fetch',
    retryable: true,
    detail: { path: 'model.safetensors', expectedBytes: 2 ** 40 },
    cause: new LoadError('http_status', { detail: { status: 503 }, cause: new TypeError('below') }),
  });
  const received = await throwAcross(sent);
  expect(isLoadError(received)).toBe(true);
  expect(received).toMatchObject({
    code: 'integrity_mismatch',
    message: sent.message,
    stage: 'fetch',
    retryable: true,
    detail: { path: 'model.safetensors', expectedBytes: 2 ** 40 },
    cause: { code: 'http_status', detail: { status: 503 }, cause: { name: 'TypeError', message: 'below' } },
  });
});

it('turns whatever else is thrown into a LoadError', async () => {
  expect(await throwAcross(new TypeError('oops'))).toMatchObject({ code: 'internal', cause: { name: 'TypeError' } });
  expect(await throwAcross(new DOMException('stop', 'AbortError'))).toMatchObject({ code: 'aborted' });
  expect(await throwAcross('text')).toMatchObject({ code: 'internal' });
});

it('survives a detail that cannot be cloned', async () => {
  const sent = new LoadError('internal', { detail: { callback: () => 1 } });
  expect(await throwAcross(sent)).toMatchObject({ code: 'internal', detail: {} });
});
