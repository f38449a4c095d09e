/**
 * Builds the app's service worker after the app itself, and tells it which files there are.
 *
 * In: the finished output folder. Out: `service-worker.js` beside `index.html`, with two lists in it: what is kept at
 * installation, and what is kept at its first use. Guarantees: a file named by its hash is listed with its integrity,
 * so that nothing else is ever kept under its name; every other file with a hash of its content, so that a change to it
 * is a new version. One classic script under one constant name: browsers look for updates by that name, and not all of
 * them take modules here.
 *
 * Workbox's own build step is not used for this: it brings Rollup, Babel and 200 packages, to list a folder.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { build } from 'vite';
import type { Plugin, ResolvedConfig } from 'vite';

const FILE_NAME = 'service-worker.js';

/** Model files have a cache of their own; icons that only an installation asks for come from the network then. */
const NOT_KEPT = [/\.map$/u, /^models\//u, /^icon-\d+\.png$/u, /^apple-touch-icon\.png$/u];

/**
 * The inference runtime's binaries, 17 and 27 MB, of which a browser uses one. Their scripts are small and are kept at once:
 * transformers.js imports one of them wherever the other is used.
 */
const RUNTIME = /\.(?<flavour>jspi|asyncify)\b.*\.wasm$/u;

/** Everybody's first visit fetches what is kept at installation: more than this means that something slipped in. */
const MAX_INSTALLATION_BYTES = 3_000_000;

/** See the file's header. */
export function appServiceWorker({ entry }: { entry: string }): Plugin {
  let config: ResolvedConfig;
  return {
    name: 'firstlight:service-worker',
    apply: 'build',
    configResolved(resolved) {
      config = resolved;
    },
    writeBundle: {
      order: 'post',
      sequential: true,
      async handler() {
        const { outDir, target, minify } = config.build;
        const { atInstallation, atFirstUse } = listFiles(resolve(config.root, outDir), config.build.assetsDir);
        await build({
          configFile: false,
          root: config.root,
          publicDir: false,
          logLevel: 'warn',
          define: {
            'process.env.NODE_ENV': '"production"', // keeps Workbox's logging out
            __KEPT_AT_INSTALLATION__: JSON.stringify(atInstallation),
            __KEPT_AT_FIRST_USE__: JSON.stringify(atFirstUse),
          },
          build: {
            outDir,
            emptyOutDir: false,
            target,
            minify,
            sourcemap: true,
            reportCompressedSize: false,
            lib: { entry, formats: ['iife'], name: 'serviceWorker', fileName: () => FILE_NAME },
          },
        });
      },
    },
  };
}

function listFiles(folder: string, assetsDir: string) {
  const atInstallation: { url: string; revision: string | null; integrity?: string }[] = [];
  const atFirstUse: { url: string; flavour: string }[] = [];
  let sizeBytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const url = path.slice(folder.length + 1).replaceAll(sep, '/');
    if (!entry.isFile() || url === FILE_NAME || NOT_KEPT.some((pattern) => pattern.test(url))) continue;
    const flavour = RUNTIME.exec(url)?.groups?.['flavour'];
    if (flavour !== undefined) {
      atFirstUse.push({ url, flavour });
      continue;
    }
    sizeBytes += statSync(path).size;
    if (url.startsWith(`${assetsDir}/`)) {
      atInstallation.push({ url, revision: null, integrity: `sha256-${hash(path).toString('base64')}` });
    } else {
      atInstallation.push({ url, revision: hash(path).toString('hex').slice(0, 16) });
    }
  }
  if (sizeBytes > MAX_INSTALLATION_BYTES || atFirstUse.length === 0) {
    throw new Error(
      `The service worker would keep ${sizeBytes} bytes at installation (at most ${MAX_INSTALLATION_BYTES}) and ` +
        `${atFirstUse.length} files of the runtime (at least 1): have the runtime's files been renamed?`,
    );
  }
  // The same files make the same script, whatever order the file system lists them in.
  const byUrl = (a: { url: string }, b: { url: string }): number => (a.url < b.url ? -1 : 1);
  return { atInstallation: atInstallation.sort(byUrl), atFirstUse: atFirstUse.sort(byUrl) };
}

function hash(path: string): Buffer {
  return createHash('sha256').update(readFileSync(path)).digest();
}
