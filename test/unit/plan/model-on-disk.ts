/**
 * Plans of the tiny checkpoints, and their buffers.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { computeRotary } from '../../../src/blueprints/rotary/rotary.ts';
import type { Dtype, LoadPlan } from '../../../src/contract/plan.ts';
import { fillWeights } from '../../../src/pipeline/fill/fill.ts';
import { ADAPTER, type MadeRepository, plan } from './made-repository.ts';

const MODELS = fileURLToPath(new URL('../../fixtures/models/', import.meta.url));

/** Tokens of every plan here. */
export const CONTEXT = 64;

const WITH_F16 = { ...ADAPTER, features: ['shader-f16'] };

/** A repository of files that are there. */
export interface OnDisk extends MadeRepository {
  readonly read: (path: string, start: number, end: number) => Promise<Uint8Array>;
}

/** A checkpoint of test/fixtures/models; `overrides` are fields of its config.json. */
export function openModel(name: string, overrides: Readonly<Record<string, unknown>> = {}): OnDisk {
  const contents = new Map(
    readdirSync(`${MODELS}${name}`).map((path) => [path, readFileSync(`${MODELS}${name}/${path}`)]),
  );
  const config = JSON.parse(String(contents.get('config.json'))) as object;
  contents.set('config.json', Buffer.from(JSON.stringify({ ...config, ...overrides })));
  const read = (path: string, start: number, end: number): Promise<Uint8Array> =>
    Promise.resolve(new Uint8Array(contents.get(path)?.subarray(start, end) ?? []));
  return {
    snapshot: {
      modelId: `test/${name}`,
      source: 'hub',
      endpoint: 'https://hub.example',
      revision: 'main',
      commit: '0'.repeat(40),
      files: [...contents].map(([path, { length }]) => ({ path, sizeBytes: length, hash: null, url: path })),
      resolvedAtMs: 0,
      offline: false,
    },
    readAll: (path) => read(path, 0, Infinity),
    readRange: read,
    rangeBytes: new Map(),
    read,
  };
}

/** Its plan for a GPU with float16; `maxBufferBytes` as if the device bound no more. */
export function planModel(repository: OnDisk, dtype: Dtype, maxBufferBytes: number | null): Promise<LoadPlan> {
  return plan(repository, {
    adapter: WITH_F16,
    request: {
      dtype,
      device: 'webgpu',
      contextTokens: CONTEXT,
      simulatedLimits: maxBufferBytes === null ? null : { maxBufferBytes },
    },
  });
}

/** Every buffer of a plan, filled by the stage itself. */
export async function fill(planned: LoadPlan, { read }: OnDisk): Promise<Map<string, Uint8Array>> {
  // Rounded up, as GPU buffers are: the last word may reach past the planned size.
  const padded = new Map(
    planned.weights.flatMap(({ buffers }) =>
      buffers.map(({ name, sizeBytes }) => [name, new Uint8Array(Math.ceil(sizeBytes / 4) * 4)] as const),
    ),
  );
  await fillWeights({
    plan: planned,
    read,
    computeRotary,
    write: (name, offset, bytes) => padded.get(name)?.set(bytes, offset),
  });
  return new Map(
    planned.weights.flatMap(({ buffers }) =>
      buffers.map(
        ({ name, sizeBytes }) => [name, padded.get(name)?.subarray(0, sizeBytes) ?? new Uint8Array(0)] as const,
      ),
    ),
  );
}
