/**
 * The local hub in a process of its own, so that serving bytes does not hold up whoever measures.
 * In: HubOptions as the first message, then `{ throttle }`. Out: `{ endpoint, urls }`, then one answer a message.
 */
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const { module } = await runnerImport(fileURLToPath(new URL('../../hub/index.ts', import.meta.url)), {
  configFile: false,
  logLevel: 'error',
});
/** @type {import('../../hub/index.ts').Hub | undefined} */
let hub;
process.on('message', async (message) => {
  if (hub === undefined) {
    hub = await module.startHub(message);
    process.send?.({ endpoint: hub.endpoint });
    return;
  }
  hub.setThrottle(message.throttle);
  process.send?.({});
});
process.on('disconnect', () => process.exit());
