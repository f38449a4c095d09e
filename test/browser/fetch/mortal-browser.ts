/**
 * A browser with a profile on disk, started by ourselves, so that it can be killed (SIGKILL, all of its processes) at any
 * instant and started again over the same profile.
 */
import { chromium, type Browser, type BrowserContext } from '@playwright/test';
import { spawn, type ChildProcess } from 'node:child_process';
import { findBrowser, QUIET_FLAGS } from '../../../scripts/find-browser.mjs';

export interface MortalBrowser {
  readonly context: BrowserContext;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

export async function startMortalBrowser(profileDir: string): Promise<MortalBrowser> {
  const executable = findBrowser().executablePath ?? chromium.executablePath();
  const args = [
    '--headless=new',
    '--remote-debugging-port=0',
    `--user-data-dir=${profileDir}`,
    ...QUIET_FLAGS,
    'about:blank',
  ];
  // A process group of its own, so that no renderer outlives the browser process.
  const child = spawn(executable, args, { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const browser: Browser = await chromium.connectOverCDP(await readAddress(child));
  const [context] = browser.contexts();
  if (!context) throw new Error('The browser has no context');
  return {
    context,
    kill: async () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await exited;
      await browser.close().catch(() => undefined);
    },
  };
}

function readAddress(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stderr?.on('data', (piece: Buffer) => {
      text += piece.toString();
      const match = /DevTools listening on (ws:\S+)/.exec(text);
      if (match?.[1]) resolve(match[1]);
    });
    child.once('exit', () => reject(new Error(`The browser ended at once: ${text.slice(-500)}`)));
  });
}
