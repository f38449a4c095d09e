/**
 * One test per error code that loading can meet: the page gets the code, the stage and the facts, never a bare Error.
 */
import { readFile } from 'node:fs/promises';
import { chromium } from '@playwright/test';
import { findBrowser, QUIET_FLAGS } from '../../scripts/find-browser.mjs';
import type { ContentSpec } from '../hub/index.ts';
import { joinFile, writeSafetensors } from '../unit/formats/write-safetensors.ts';
import { checkpointFolder, expect, openApp, test, testInKeptApp, tryLoad } from './support.ts';
import type { Failure } from './support.ts';

const FOLDER = checkpointFolder('tiny-qwen2') ?? '';
const ID = 'test/model';

/** Headers are read in pieces of 64 KiB: whatever is wrong with them is said after two of these at most. */
const HEADER_BYTES = 2 * 64 * 1024;

/** The files of a small real checkpoint, some of them replaced or (null) left out. */
async function variant(changes: Readonly<Record<string, ContentSpec | null>>): Promise<Record<string, ContentSpec>> {
  const names = ['config.json', 'generation_config.json', 'model.safetensors'];
  const real = Object.fromEntries(names.map((name) => [name, { path: `${FOLDER}/${name}` }]));
  const entries = Object.entries<ContentSpec | null>({ ...real, ...changes });
  return Object.fromEntries(entries.filter((entry): entry is [string, ContentSpec] => entry[1] !== null));
}

async function changedConfig(changes: Readonly<Record<string, unknown>>): Promise<string> {
  const config = JSON.parse(await readFile(`${FOLDER}/config.json`, 'utf8')) as Record<string, unknown>;
  return JSON.stringify({ ...config, ...changes });
}

/** Header and data of the checkpoint, for writing it anew with a lie in it. */
async function readCheckpoint(): Promise<{ header: Record<string, HeaderEntry>; data: Uint8Array }> {
  const bytes = await readFile(`${FOLDER}/model.safetensors`);
  const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(bytes.subarray(8, headerEnd).toString()) as Record<
    string,
    HeaderEntry
  >;
  return { header, data: bytes.subarray(headerEnd) };
}

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

test.describe('repositories', () => {
  testInKeptApp('repository_not_found', async ({ app, openHub }) => {
    const hub = await openHub({});
    const failure = await tryLoad(app, 'nobody/nothing', { endpoint: hub.endpoint });
    expect(failure).toMatchObject({ code: 'repository_not_found', stage: 'resolve', retryable: false });
  });

  test('repository_gated, then loads with a token that may', async ({ app, openHub }) => {
    const spec = { main: { directory: FOLDER }, gated: 'manual', tokens: ['hf_good'] } as const;
    const hub = await openHub({ [ID]: spec });
    expect(await tryLoad(app, ID, { endpoint: hub.endpoint })).toMatchObject({
      code: 'repository_gated',
      stage: 'resolve',
    });
    expect(await tryLoad(app, ID, { endpoint: hub.endpoint, token: 'hf_good', device: 'wasm' })).toBeNull();
    const elsewhere = hub.requests.entries.filter((entry) => entry.server === 'cdn' && entry.hadAuthorization);
    expect(elsewhere, 'the token stays at the endpoint').toEqual([]);
  });

  testInKeptApp('unauthorized', async ({ app, openHub }) => {
    const hub = await openHub({ [ID]: { main: { directory: FOLDER }, private: true, tokens: ['hf_good'] } });
    const failure = await tryLoad(app, ID, { endpoint: hub.endpoint, token: 'hf_bad' });
    expect(failure?.code).toBe('unauthorized');
    expect(JSON.stringify(failure), 'no token in an error').not.toContain('hf_bad');
  });

  testInKeptApp('revision_not_found', async ({ app, openHub }) => {
    const hub = await openHub({ [ID]: { main: { directory: FOLDER } } });
    const failure = await tryLoad(app, ID, { endpoint: hub.endpoint, revision: 'v9' });
    expect(failure).toMatchObject({ code: 'revision_not_found', stage: 'resolve' });
    expect(failure?.message).toContain('v9');
  });

  testInKeptApp('listing_invalid', async ({ app, openHub }) => {
    const entries = [{ type: 'file', path: 'config.json', size: 1, oid: 'a'.repeat(40) }]; // a second time
    const hub = await openHub({ [ID]: { main: { directory: FOLDER }, hostile: { entries } } });
    expect(await tryLoad(app, ID, { endpoint: hub.endpoint })).toMatchObject({
      code: 'listing_invalid',
      stage: 'resolve',
    });
  });

  testInKeptApp('network_unreachable', async ({ app, openHub }) => {
    const hub = await openHub({ [ID]: { main: { directory: FOLDER } } });
    await hub.goDown();
    const failure = await tryLoad(app, ID, { endpoint: hub.endpoint });
    expect(failure).toMatchObject({ stage: 'resolve', retryable: true });
    expect(['network_unreachable', 'not_cached']).toContain(failure?.code);
  });

  testInKeptApp('invalid_argument', async ({ app }) => {
    for (const id of ['', '../x', 'a/b/c', 'org/na me']) {
      expect(await tryLoad(app, id), id).toMatchObject({ code: 'invalid_argument' });
    }
  });
});

test.describe('configs and weights', () => {
  const cases: {
    name: string;
    files: () => Promise<Record<string, ContentSpec>>;
    expected: Partial<Failure>;
    says?: string;
  }[] = [
    {
      name: 'no_safetensors names what is there instead',
      files: () => variant({ 'model.safetensors': null, 'pytorch_model.bin': new Uint8Array(16) }),
      expected: { code: 'no_safetensors', stage: 'plan' },
      says: '.bin',
    },
    {
      name: 'file_not_found for a repository without config.json',
      files: () => variant({ 'config.json': null }),
      expected: { code: 'file_not_found', stage: 'plan' },
      says: 'config.json',
    },
    {
      name: 'unsupported_architecture lists what is supported',
      files: async () => variant({ 'config.json': await changedConfig({ model_type: 'mamba' }) }),
      expected: { code: 'unsupported_architecture', stage: 'plan' },
      says: 'llama',
    },
    {
      name: 'config_invalid names the field',
      files: async () => variant({ 'config.json': await changedConfig({ hidden_size: -3 }) }),
      expected: { code: 'config_invalid', stage: 'plan' },
      says: 'hidden_size',
    },
    {
      name: 'config_invalid for a file that is no JSON',
      files: () => variant({ 'config.json': '{"model_type": ' }),
      expected: { code: 'config_invalid', stage: 'plan' },
    },
    {
      name: 'tensor_missing names all that is missing',
      files: async () => {
        const { header, data } = await readCheckpoint();
        const tensors = Object.entries(header)
          .filter(([name]) => !/k_proj|norm\.weight$/u.test(name))
          .map(
            ([
              name,
              {
                dtype,
                shape,
                data_offsets: [start, end],
              },
            ]) => ({ name, dtype, shape, data: data.subarray(start, end) }),
          );
        return variant({ 'model.safetensors': writeSafetensors(tensors) });
      },
      expected: { code: 'tensor_missing', stage: 'plan' },
      says: 'model.layers.1.self_attn.k_proj.bias',
    },
    {
      name: 'tensor_shape_mismatch',
      files: async () => variant({ 'config.json': await changedConfig({ intermediate_size: 96 }) }),
      expected: { code: 'tensor_shape_mismatch', stage: 'plan' },
      says: 'mlp',
    },
  ];
  for (const { name, files, expected, says } of cases) {
    testInKeptApp(name, async ({ app, openHub }) => {
      const hub = await openHub({ [ID]: { main: { files: await files() } } });
      const failure = await tryLoad(app, ID, { endpoint: hub.endpoint, device: 'wasm' });
      expect(failure).toMatchObject(expected);
      if (says) expect(`${failure?.message} ${JSON.stringify(failure?.detail)}`).toContain(says);
      const weights = hub.requests.contentBytes({ file: 'model.safetensors' });
      expect(weights, 'refused from the headers alone').toBeLessThanOrEqual(HEADER_BYTES);
    });
  }
});

test.describe('safetensors_invalid: headers that lie', () => {
  type Header = Record<string, HeaderEntry>;
  const names = (header: Header): string[] => Object.keys(header).sort((a, b) => start(header, a) - start(header, b));
  const start = (header: Header, name: string): number => header[name]?.data_offsets[0] ?? 0;
  const entry = (header: Header, index: number): HeaderEntry => header[names(header)[index] ?? ''] as HeaderEntry;
  const rewritten = (change: (header: Header) => void) => async (): Promise<ContentSpec> => {
    const { header, data } = await readCheckpoint();
    change(header);
    return joinFile(JSON.stringify(header), data);
  };
  const cases: Record<string, () => Promise<ContentSpec>> = {
    'a header longer than the file': async () => {
      const bytes = new Uint8Array(64);
      new DataView(bytes.buffer).setBigUint64(0, 1_000_000n, true);
      return bytes;
    },
    'a header bomb of more than 100 MB': async () => {
      const length = new Uint8Array(8);
      new DataView(length.buffer).setBigUint64(0, 150_000_000n, true);
      return { concat: [length, { synthetic: { seed: 1, sizeBytes: 160_000_000 } }] };
    },
    'a truncated file': async () => {
      const bytes = await readFile(`${FOLDER}/model.safetensors`);
      return bytes.subarray(0, bytes.length - 100);
    },
    'a header that is no JSON': async () => joinFile('{"a": [', new Uint8Array(8)),
    'overlapping offsets': rewritten((header) => {
      entry(header, 1).data_offsets = [...entry(header, 0).data_offsets];
      entry(header, 1).shape = entry(header, 0).shape;
    }),
    'offsets out of range': rewritten((header) => {
      const last = entry(header, names(header).length - 1);
      last.data_offsets = [last.data_offsets[0] + 1_000_000, last.data_offsets[1] + 1_000_000];
    }),
    'shape times dtype that is not the bytes': rewritten((header) => {
      entry(header, 0).shape = [1, 1];
    }),
    'duplicate names': async () => {
      const { header, data } = await readCheckpoint();
      const text = JSON.stringify(header);
      const [first = ''] = Object.keys(header);
      return joinFile(`${text.slice(0, -1)},${JSON.stringify(first)}:${JSON.stringify(header[first])}}`, data);
    },
  };
  for (const [name, content] of Object.entries(cases)) {
    testInKeptApp(name, async ({ app, openHub }) => {
      const hub = await openHub({ [ID]: { main: { files: await variant({ 'model.safetensors': await content() }) } } });
      const failure = await tryLoad(app, ID, { endpoint: hub.endpoint, device: 'wasm' });
      expect(failure).toMatchObject({ code: 'safetensors_invalid', stage: 'plan', retryable: false });
      expect(failure?.message).toContain('model.safetensors');
      expect(hub.requests.contentBytes({ file: 'model.safetensors' })).toBeLessThanOrEqual(HEADER_BYTES);
    });
  }
});

type CreateShaderModule = (this: GPUDevice, descriptor: GPUShaderModuleDescriptor) => GPUShaderModule;

test.describe('devices', () => {
  test('no_adapter where WASM was refused; auto takes WASM', async ({ openHub, baseURL }) => {
    const browser = await chromium.launch({ ...findBrowser(), args: [...QUIET_FLAGS, '--disable-gpu'] });
    try {
      const page = await browser.newPage({ baseURL: baseURL ?? '' });
      await openApp(page);
      const hub = await openHub({ [ID]: { main: { directory: FOLDER } } });
      expect(await page.evaluate(() => window.firstlight.loader.adapter())).toBeNull();
      const failure = await tryLoad(page, ID, { endpoint: hub.endpoint, device: 'webgpu' });
      expect(failure).toMatchObject({ code: 'no_adapter' });
      expect(await tryLoad(page, ID, { endpoint: hub.endpoint, device: 'auto' })).toBeNull();
    } finally {
      await browser.close();
    }
  });

  testInKeptApp('unsupported_dtype: fp16 without shader-f16', async ({ app, openHub }) => {
    const hub = await openHub({ [ID]: { main: { directory: FOLDER } } });
    const adapter = await app.evaluate(() => window.firstlight.loader.adapter());
    testInKeptApp.skip(adapter?.features.includes('shader-f16') ?? false, 'this adapter has shader-f16');
    const failure = await tryLoad(app, ID, { endpoint: hub.endpoint, dtype: 'fp16', device: 'webgpu' });
    expect(failure).toMatchObject({ code: 'unsupported_dtype', stage: 'plan' });
  });

  testInKeptApp('does_not_fit or out_of_memory before any weight byte', async ({ app, openHub }) => {
    const config = await changedConfig({ max_position_embeddings: 50_000_000 });
    const hub = await openHub({ [ID]: { main: { files: await variant({ 'config.json': config }) } } });
    const failure = await tryLoad(app, ID, { endpoint: hub.endpoint, device: 'webgpu', contextTokens: 50_000_000 });
    expect(['does_not_fit', 'out_of_memory']).toContain(failure?.code);
    expect(hub.requests.contentBytes({ file: 'model.safetensors' })).toBeLessThanOrEqual(HEADER_BYTES);
  });

  for (const device of ['wasm', 'webgpu'] as const) {
    testInKeptApp(
      `output_mismatch on ${device}: weights that are no numbers${device === 'webgpu' ? ' @long' : ''}`,
      async ({ app, openHub }) => {
        const { header, data } = await readCheckpoint();
        const [start, end] = header['model.norm.weight']?.data_offsets ?? [0, 0];
        const damaged = Uint8Array.from(data).fill(0xff, start, end); // NaN in bf16, f16 and f32 alike
        const file = joinFile(JSON.stringify(header), damaged);
        const hub = await openHub({ [ID]: { main: { files: await variant({ 'model.safetensors': file }) } } });
        expect(end).toBeGreaterThan(start);
        const failure = await tryLoad(app, ID, { endpoint: hub.endpoint, device });
        expect(failure).toMatchObject({ code: 'output_mismatch', stage: 'warmUp', retryable: false });
      },
    );
  }

  testInKeptApp(
    'output_mismatch where only what every first prompt begins with goes wrong',
    async ({ app, openHub }) => {
      const FIRST = 5;
      const config = await changedConfig({ bos_token_id: FIRST });
      const { header, data } = await readCheckpoint();
      const { data_offsets: offsets = [0, 0], shape = [] } = header['model.embed_tokens.weight'] ?? {};
      const rowBytes = 2 * (shape[1] ?? 0); // bf16
      const row = offsets[0] + FIRST * rowBytes;
      const damaged = Uint8Array.from(data).fill(0xff, row, row + rowBytes);
      const files = {
        'config.json': config,
        'generation_config.json': null,
        'model.safetensors': joinFile(JSON.stringify(header), damaged),
      };
      const hub = await openHub({ [ID]: { main: { files: await variant(files) } } });
      const failure = await tryLoad(app, ID, { endpoint: hub.endpoint, device: 'wasm', dtype: 'fp32' });
      expect(failure).toMatchObject({ code: 'output_mismatch', stage: 'warmUp' });
    },
  );

  // A driver that computes rubbish: one of its kernels is changed on its way to the GPU.
  for (const [what, label, from, to] of [
    ['every kernel of its kind: the first layer on WebAssembly finds it', 'QuickGelu', 'quick_gelu_v(a)', '1.1 * $&'],
    [
      'those of long prompts alone: short ones find it @long',
      'FlashAttention',
      'q_element_t(qk_scores[k])',
      '-4.0 * $&',
    ],
  ] as const) {
    test(`output_mismatch from a wrong kernel, ${what}`, async ({ app, openHub }) => {
      const hub = await openHub({ [ID]: { main: { directory: FOLDER } } });
      // Time to get at the worker before it opens a device.
      hub.misbehave({ fault: { type: 'delay', beforeHeadersMs: 1_500 }, path: /config\.json/u, times: 1 });
      const starting = app.waitForEvent('worker', (worker) => worker.url().includes('model.worker'));
      const loading = tryLoad(app, ID, { endpoint: hub.endpoint, device: 'webgpu', dtype: 'fp32' });
      const worker = await starting;
      await worker.evaluate(
        (change) => {
          const create: CreateShaderModule = Reflect.get(GPUDevice.prototype, 'createShaderModule');
          Object.assign(GPUDevice.prototype, {
            createShaderModule(this: GPUDevice, descriptor: GPUShaderModuleDescriptor) {
              const isMeant = descriptor.label === change.label && descriptor.code.includes(change.from);
              const code = isMeant ? descriptor.code.replace(change.from, change.to) : descriptor.code;
              return create.call(this, { ...descriptor, code });
            },
          });
        },
        { label, from, to },
      );
      const failure = await loading;
      expect(failure).toMatchObject({ code: 'output_mismatch', stage: 'warmUp' });
      expect(failure?.message).toContain(what.startsWith('every') ? 'first layer' : 'same prompt');
    });
  }

  test('runtime_failed says why the runtime did not start; the next load starts it', async ({ page, openHub }) => {
    const hub = await openHub({ [ID]: { main: { directory: FOLDER } } });
    let isMissing = true;
    // Before there is a worker, and for good: a route that comes or goes while a worker ends can hang for ever.
    await page.route(/\.wasm$/u, (route) => (isMissing ? route.fulfill({ status: 404 }) : route.continue()));
    await openApp(page);
    const failure = await tryLoad(page, ID, { endpoint: hub.endpoint, device: 'webgpu' });
    expect(failure).toMatchObject({ code: 'runtime_failed', stage: 'place' });
    expect(failure?.message).toMatch(/wasm/iu);
    // What a second attempt of the same runtime says, which hides the first one's reason.
    expect(failure?.message).not.toContain('previous call');
    isMissing = false;
    expect(await tryLoad(page, ID, { endpoint: hub.endpoint, device: 'wasm' })).toBeNull();
  });

  test('worker_died rejects what was waiting', async ({ app, openHub }) => {
    const hub = await openHub({ [ID]: { main: { directory: FOLDER } } });
    hub.misbehave({ fault: { type: 'stall', afterBytes: 0 }, path: /model\.safetensors/u });
    const outcome = await app.evaluate(
      async ([endpoint, id]) => {
        const { createLoader, isLoadError } = window.firstlight;
        const started: Worker[] = [];
        const RealWorker = window.Worker;
        window.Worker = class extends RealWorker {
          constructor(url: string | URL, options?: WorkerOptions) {
            super(url, options);
            started.push(this);
          }
        };
        const loader = createLoader({ hub: { endpoint }, bundledBaseUrl: null });
        const loading = loader.load(id, {
          device: 'webgpu',
          onProgress: (event) => {
            // A worker that is terminated says nothing to the page: as silent as one that the browser killed.
            if (event.type === 'stageStart' && event.stage === 'plan') setTimeout(() => started[0]?.terminate(), 200);
          },
        });
        const error: unknown = await loading.then(
          () => null,
          (reason: unknown) => reason,
        );
        window.Worker = RealWorker;
        return isLoadError(error) ? error.code : String(error);
      },
      [hub.endpoint, ID] as const,
    );
    expect(outcome).toBe('worker_died');
  });
});

test.describe('requests to a loaded model', () => {
  test('context_exceeded, tokenizer_missing, invalid_argument, disposed', async ({ app, openHub }) => {
    const hub = await openHub({ [ID]: { main: { directory: FOLDER } } });
    const codes = await app.evaluate(
      async ([endpoint, id]) => {
        const { createLoader, isLoadError } = window.firstlight;
        const loader = createLoader({ hub: { endpoint }, bundledBaseUrl: null });
        const model = await loader.load(id, { device: 'wasm', contextTokens: 32 });
        const codeOf = async (work: () => AsyncIterable<unknown>): Promise<string> => {
          try {
            for await (const _ of work()) break;
            return 'none';
          } catch (error) {
            return isLoadError(error) ? error.code : String(error);
          }
        };
        const results = {
          long: await codeOf(() => model.generate(Array<number>(40).fill(1))),
          text: await codeOf(() => model.generate('Once upon a time')),
          id: await codeOf(() => model.generate([1, 1_000_000])),
          temperature: await codeOf(() => model.generate([1], { do_sample: true, temperature: -1 })),
          fine: await codeOf(() => model.generate([1, 2, 3], { max_new_tokens: 2 })),
        };
        await model.dispose();
        return { ...results, disposed: await codeOf(() => model.generate([1])) };
      },
      [hub.endpoint, ID] as const,
    );
    expect(codes).toEqual({
      long: 'context_exceeded',
      text: 'tokenizer_missing',
      id: 'invalid_argument',
      temperature: 'invalid_argument',
      fine: 'none',
      disposed: 'disposed',
    });
  });
});
