/**
 * A Chromium with a profile on disk and nobody attached to it: a page that takes calls over HTTP.
 *
 * Whoever drives a page through the DevTools protocol makes it keep a copy of what it downloads (the first 10 MB of each
 * answer), which costs more time than reading it, and memory; and a private window keeps what it stores in memory. A user has
 * neither. In: a page's URL. Out: {@link BenchPage}.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from '@playwright/test';
import { findBrowser, GPU_FLAGS, QUIET_FLAGS } from '../../../scripts/find-browser.mjs';
import type { PageServer } from './page-server.ts';

/** A page of its own browser. */
export interface BenchPage {
  /** Names the browser's processes: their command lines hold it. */
  readonly profileDir: string;
  /** Calls a method that the page offers; throws what it throws, as text. */
  call(method: string, ...args: readonly unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

/** `gpu`: the machine's own instead of the software adapter. */
export async function openPage(server: PageServer, options: { readonly gpu?: boolean } = {}): Promise<BenchPage> {
  const profileDir = await mkdtemp(join(tmpdir(), 'firstlight-bench-'));
  const gpuFlags = options.gpu ? ['--enable-unsafe-webgpu', '--enable-features=Vulkan'] : GPU_FLAGS;
  const child = spawn(
    findBrowser().executablePath ?? chromium.executablePath(),
    ['--headless=new', `--user-data-dir=${profileDir}`, ...gpuFlags, ...QUIET_FLAGS, server.url],
    { detached: true, stdio: 'ignore' },
  );
  const exited = once(child, 'exit').then(() => {
    throw new Error('The browser ended.');
  });
  exited.catch(() => undefined);
  await Promise.race([server.pageReady(), exited]);
  return {
    profileDir,
    call: (method, ...args) => Promise.race([server.call(method, args), exited]),
    close: async () => {
      // A process group of its own, so that no renderer outlives the browser.
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await exited.catch(() => undefined);
      await rm(profileDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
