/**
 * Node 20 leaves a read open for ever where the signal fires once a body has arrived whole. A browser fails it, and so does the
 * global `fetch` from here on, until the function that this yields is called.
 */
export function patchFetch(): () => void {
  const realFetch = globalThis.fetch;
  globalThis.fetch = async (url, init) => {
    const response = await realFetch(url, init);
    const signal = init?.signal ?? undefined;
    const body =
      response.body?.pipeThrough(new TransformStream<Uint8Array, Uint8Array>(), signal ? { signal } : {}) ?? null;
    return Object.defineProperty(response, 'body', { value: body });
  };
  return () => {
    globalThis.fetch = realFetch;
  };
}
