/**
 * The local hub by hand: `node test/hub/main.mjs --root <folder> [--port 8123] [--cdn-port n] [--host 127.0.0.1]
 * [--mbps 12.5] [--latency-ms 50] [--gated org/name=token] [--quiet]`. Every `<folder>/<org>/<name>/` is a repository.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runnerImport } from 'vite';

const { values } = parseArgs({
  options: {
    root: { type: 'string', default: 'public/models' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '8123' },
    'cdn-port': { type: 'string', default: '0' },
    mbps: { type: 'string', default: '0' },
    'latency-ms': { type: 'string', default: '0' },
    gated: { type: 'string', multiple: true, default: [] },
    quiet: { type: 'boolean', default: false },
  },
});

// Vite's module runner takes the TypeScript as it is; Node 20 would not.
const { module: hubModule } = await runnerImport(fileURLToPath(new URL('./index.ts', import.meta.url)), {
  configFile: false,
  logLevel: 'error',
});
const gates = new Map(values.gated.map((gate) => /** @type {[string, string]} */ (gate.split('='))));
const hub = await hubModule.startHub({
  repositories: await findRepositories(values.root),
  host: values.host,
  port: Number(values.port),
  cdnPort: Number(values['cdn-port']),
  throttle: { bytesPerSecond: Number(values.mbps) * 1e6, latencyMs: Number(values['latency-ms']) },
});
console.log(`hub ${hub.endpoint}  (CDN ${hub.cdnOrigin})`);
if (!values.quiet) setInterval(printNewRequests, 500).unref();

/** @param {string} root */
async function findRepositories(root) {
  /** @type {Record<string, object>} */
  const repositories = {};
  for (const org of await listFolders(root)) {
    for (const name of await listFolders(join(root, org))) {
      const id = `${org}/${name}`;
      const token = gates.get(id);
      repositories[id] = {
        main: { directory: join(root, org, name) },
        ...(token === undefined ? {} : { gated: 'manual', tokens: [token] }),
      };
      console.log(`  ${id}`);
    }
  }
  return repositories;
}

/** @param {string} folder */
async function listFolders(folder) {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

let printed = 0;
function printNewRequests() {
  const { entries } = hub.requests;
  for (; printed < entries.length && entries[printed].endedAtMs !== null; printed++) {
    const { server, method, url, range, status, bytesSent } = entries[printed];
    console.log(`${server} ${status} ${method} ${url.split('?')[0]} ${range ?? ''} ${bytesSent} B`);
  }
}
