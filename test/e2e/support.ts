/**
 * What the end-to-end tests share: a page of the built app with `window.firstlight`, local hubs, and reference outputs.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test as base } from '@playwright/test';
import type { JSHandle, Page } from '@playwright/test';
import type { Loader, LoadOptions } from '../../src/index.ts';
import type { ErrorCode, LoadErrorData } from '../../src/contract/errors.ts';
import { startHub } from '../hub/index.ts';
import type { Hub, RepositorySpec } from '../hub/index.ts';
import { sharedData } from '../shared-data.ts';
import type {} from '../../src/ui/window.d.ts';

export { expect };

interface Fixtures {
  readonly app: Page;
  /** A hub that ends with the test. */
  readonly openHub: (repositories: Readonly<Record<string, RepositorySpec>>) => Promise<Hub>;
}

interface WorkerFixtures {
  readonly keptApp: Page;
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  keptApp: [
    async ({ browser }, use, { project }) => {
      const { baseURL = '' } = project.use;
      const context = await browser.newContext({ baseURL, serviceWorkers: 'block', reducedMotion: 'reduce' });
      const page = await context.newPage();
      await openApp(page);
      await use(page);
      await context.close();
    },
    { scope: 'worker' },
  ],
  app: async ({ page }, use) => {
    await openApp(page);
    await use(page);
  },
  // Playwright wants the fixtures it depends on as a pattern, even where there are none.
  // eslint-disable-next-line no-empty-pattern
  openHub: async ({}, use) => {
    const hubs: Hub[] = [];
    await use(async (repositories) => {
      const hub = await startHub({ repositories });
      hubs.push(hub);
      return hub;
    });
    await Promise.all(hubs.map((hub) => hub.close()));
  },
});

/**
 * One page of the app for all tests of a worker: to open it takes longer than what many of them do. For tests that make a
 * loader for a hub of their own, dispose it, and ask neither what the cache holds nor what the form shows.
 */
export const testInKeptApp = test.extend({
  app: async ({ keptApp }, use) => {
    await use(keptApp);
  },
});

/** The page, once its module has run. */
export async function openApp(page: Page): Promise<void> {
  await page.goto('/');
  await page.waitForFunction(() => 'firstlight' in window);
}

/** The model that ships with the app. */
export async function bundledModelId(page: Page): Promise<string> {
  const [first] = await page.evaluate(() => window.firstlight.loader.bundled());
  expect(first, 'the app brings a model').toBeDefined();
  return first?.modelId ?? '';
}

/** What a rejected call of the page threw, as data; null where it resolved. */
export interface Failure {
  readonly code: ErrorCode;
  readonly stage: LoadErrorData['stage'];
  readonly retryable: boolean;
  readonly message: string;
  readonly detail: Record<string, unknown>;
}

/** Loads in the page and disposes at once; yields the error if it fails. */
export async function tryLoad(
  page: Page,
  modelId: string,
  options: {
    endpoint?: string;
    token?: string;
    revision?: string;
    device?: 'auto' | 'webgpu' | 'wasm';
    dtype?: 'auto' | 'fp32' | 'fp16' | 'q8' | 'q4' | 'q4f16';
    contextTokens?: number;
    simulatedLimits?: { maxBufferBytes: number };
    offline?: boolean;
    cache?: 'auto' | 'required' | 'none';
  } = {},
): Promise<Failure | null> {
  const { endpoint, token, ...load } = options;
  const loader = await page.evaluateHandle(
    ([hub, access]) =>
      window.firstlight.createLoader({
        hub: { ...(hub ? { endpoint: hub } : {}), ...(access ? { token: access } : {}) },
        bundledBaseUrl: hub ? null : './',
      }),
    [endpoint, token] as const,
  );
  try {
    return await tryOn(loader, modelId, load);
  } finally {
    await loader.evaluate((it) => it.dispose());
  }
}

/** The same with a loader that stays. */
export function tryOn(loader: JSHandle<Loader>, modelId: string, options: LoadOptions): Promise<Failure | null> {
  return loader.evaluate(
    async (it, [id, load]) => {
      try {
        const model = await it.load(id, load);
        await model.dispose();
        return null;
      } catch (error) {
        if (!window.firstlight.isLoadError(error)) throw error;
        const { code, stage, retryable, message, detail } = error;
        return { code, stage, retryable, message, detail };
      }
    },
    [modelId, options] as const,
  );
}

const FIXTURES = fileURLToPath(new URL('../fixtures/', import.meta.url));

/** Logits that Hugging Face transformers computed in float32. */
export interface ReferenceLogits {
  readonly file: string;
  /** In float32 elements. */
  readonly offset: number;
}

/** What `test/reference/` recorded for one model. */
export interface Reference {
  readonly model: string;
  readonly vocabSize: number;
  readonly prompts: readonly {
    readonly name: string;
    readonly inputIds: readonly number[];
    readonly logits: ReferenceLogits & { readonly length: number };
  }[];
  readonly greedy: {
    readonly inputIds: readonly number[];
    readonly ids: readonly number[];
    readonly minTop2Gap: number;
  };
  readonly scoring: {
    readonly inputIds: readonly number[];
    readonly logits: ReferenceLogits & { readonly shape: readonly [number, number] };
  };
}

/** A reference, with a reader of its logits. */
export async function readReference(
  name: string,
): Promise<{ reference: Reference; logits: (at: ReferenceLogits, length: number) => Float32Array }> {
  const reference = JSON.parse(await readFile(`${FIXTURES}reference/${name}.json`, 'utf8')) as Reference;
  const bytes = await readFile(`${FIXTURES}reference/${name}.f32`);
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return { reference, logits: ({ offset }, length) => all.subarray(offset, offset + length) };
}

/** Where each reference's checkpoint lies; null where it is absent on this machine. */
export function checkpointFolder(name: string): string | null {
  const folder = name.startsWith('tiny-')
    ? `${FIXTURES}models/${name}`
    : name === 'tinystories-656k'
      ? fileURLToPath(sharedData('tinystories-656k/hf-bf16'))
      : fileURLToPath(new URL(`../../public/models/firstlight/${name}`, import.meta.url));
  return existsSync(folder) ? folder : null;
}
