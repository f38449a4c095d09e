/**
 * What the tests of the cache share: loads that are whole or stopped, what the disk holds, damage, short room.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CDPSession, Page } from '@playwright/test';
import type { CacheEntry, CacheRemoval, CacheSelector, CacheUsage, VerifyResult } from '../../src/contract/cache.ts';
import type { Hub } from '../hub/index.ts';
import { checkpointFolder } from './support.ts';

export const TINY = checkpointFolder('tiny-llama') ?? '';
/** Big enough to be stopped half-way. */
export const STORYTELLER = checkpointFolder('storyteller-2m') ?? '';
export const CHANGED_SHARD = 'model-00002-of-00002.safetensors';

export interface Loaded {
  readonly commit: string;
  readonly fromNetwork: number;
  readonly offline: boolean;
}

/** Loads on WASM, disposes at once. */
export function load(page: Page, hub: Hub, modelId: string, revision = 'main'): Promise<Loaded> {
  return page.evaluate(
    async ([endpoint, id, at]) => {
      const loader = window.firstlight.createLoader({ hub: { endpoint }, bundledBaseUrl: null });
      try {
        const { report } = await loader.load(id, { device: 'wasm', revision: at });
        return { commit: report.commit, fromNetwork: report.bytes.fromNetwork, offline: report.offline };
      } finally {
        await loader.dispose();
      }
    },
    [hub.endpoint, modelId, revision] as const,
  );
}

/** Begins a load and cancels it when this part of the weights is there; yields the error's code. */
export function loadPart(page: Page, hub: Hub, modelId: string, part: number): Promise<string> {
  return page.evaluate(
    async ([endpoint, id, enough]) => {
      const { createLoader, isLoadError } = window.firstlight;
      const loader = createLoader({ hub: { endpoint }, bundledBaseUrl: null });
      const controller = new AbortController();
      try {
        await loader.load(id, {
          device: 'wasm',
          signal: controller.signal,
          onProgress: (event) => {
            if (event.type !== 'progress' || event.stage !== 'fetch') return;
            if (event.doneBytes > enough * event.totalBytes) controller.abort();
          },
        });
        return 'loaded';
      } catch (error) {
        return isLoadError(error) ? error.code : String(error);
      } finally {
        await loader.dispose();
      }
    },
    [hub.endpoint, modelId, part] as const,
  );
}

export const list = (page: Page): Promise<readonly CacheEntry[]> =>
  page.evaluate(() => window.firstlight.loader.cache.list());
export const usage = (page: Page): Promise<CacheUsage> => page.evaluate(() => window.firstlight.loader.cache.usage());
export const remove = (page: Page, selector: CacheSelector): Promise<CacheRemoval> =>
  page.evaluate((which) => window.firstlight.loader.cache.delete(which), selector);
export const verify = (page: Page, selector?: CacheSelector): Promise<VerifyResult> =>
  page.evaluate((which) => window.firstlight.loader.cache.verify(which), selector);

/** Bytes of all files below the cache's folder, as the browser's file system has them. */
export function diskBytes(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const measure = async (folder: FileSystemDirectoryHandle): Promise<number> => {
      let sizeBytes = 0;
      for await (const handle of folder.values()) {
        if (handle.kind === 'directory') sizeBytes += await measure(handle);
        else sizeBytes += (await handle.getFile()).size;
      }
      return sizeBytes;
    };
    return measure(await navigator.storage.getDirectory());
  });
}

/** Turns one bit of a blob on disk. */
export function damage(page: Page, key: string, offset: number): Promise<void> {
  return page.evaluate(
    async ([name, at]) => {
      const root = await navigator.storage.getDirectory();
      const blobs = await (await root.getDirectoryHandle('firstlight')).getDirectoryHandle('blobs');
      const handle = await blobs.getFileHandle(name);
      const byte = new Uint8Array(await (await handle.getFile()).slice(at, at + 1).arrayBuffer());
      const writable = await handle.createWritable({ keepExistingData: true });
      await writable.write({ type: 'write', position: at, data: byte.map((value) => value ^ 1) });
      await writable.close();
    },
    [key, offset] as const,
  );
}

/** Locks that name a snapshot in use. */
export function usedSnapshots(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const { held = [] } = await navigator.locks.query();
    return held.filter(({ name }) => name?.startsWith('firstlight:snapshot:')).length;
  });
}

/** The tiny model's files with other numbers at the end of its second shard. */
export async function changedTiny(): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {};
  for (const name of await readdir(TINY)) files[name] = new Uint8Array(await readFile(join(TINY, name)));
  const shard = files[CHANGED_SHARD];
  if (shard === undefined) throw new Error(`the fixture lacks ${CHANGED_SHARD}`);
  // The lowest bit of a little-endian float's mantissa.
  shard[shard.length - 4] = (shard.at(-4) ?? 0) ^ 1;
  return files;
}

/** Lasts as long as the session that made it. */
export async function limitRoom(page: Page, freeBytes: number): Promise<CDPSession> {
  const session = await page.context().newCDPSession(page);
  const { usageBytes } = await usage(page);
  const origin = new URL(page.url()).origin;
  await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: usageBytes + freeBytes });
  return session;
}
