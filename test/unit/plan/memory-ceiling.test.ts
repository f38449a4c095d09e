import { describe, expect, it } from 'vitest';
import type { Device } from '../../../src/contract/plan.ts';
import { findMemoryCeiling, type PlatformFacts } from '../../../src/pipeline/plan/memory-ceiling.ts';
import { errorOf, LLAMA_CONFIG, listTensors, makeSingle, plan } from './made-repository.ts';

const GIB = 2 ** 30;
const MAC = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)';
const IPHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)';

/** As browsers have sent them. */
const AGENTS: readonly [name: string, userAgent: string, maxTouchPoints: number, isIos: boolean][] = [
  ['Safari on an iPhone', `${IPHONE} Version/26.0 Mobile/15E148 Safari/604.1`, 5, true],
  ['Chrome on an iPhone', `${IPHONE} CriOS/141.0.7390.41 Mobile/15E148 Safari/604.1`, 5, true],
  ['Firefox on an iPhone', `${IPHONE} FxiOS/144.0 Mobile/15E148 Safari/605.1.15`, 5, true],
  ['Edge on an iPhone', `${IPHONE} Version/18.0 EdgiOS/140.0.3485.94 Mobile/15E148 Safari/604.1`, 5, true],
  ['an app on an iPhone', `${IPHONE} Mobile/15E148`, 5, true],
  [
    'Safari on an iPad that asks for mobile pages',
    'Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1',
    5,
    true,
  ],
  ['Safari on an iPad that says it is a Mac', `${MAC} Version/26.0 Safari/605.1.15`, 5, true],
  ['Chrome on an iPad that says it is a Mac', `${MAC} CriOS/141 Version/11.1.1 Safari/605.1.15`, 5, true],
  ['Safari on a Mac', `${MAC} Version/26.0 Safari/605.1.15`, 0, false],
  [
    'Chrome on a Mac',
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36',
    0,
    false,
  ],
  [
    'Chrome on Android',
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36',
    5,
    false,
  ],
  [
    'Edge on a Windows laptop with a touch screen',
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0',
    10,
    false,
  ],
  [
    'Internet Explorer on a Windows Phone',
    'Mozilla/5.0 (Mobile; Windows Phone 8.1; Android 4.0; ARM; Trident/7.0; Touch; rv:11.0; IEMobile/11.0; NOKIA; Lumia 520) like iPhone OS 7_0_3 Mac OS X AppleWebKit/537 (KHTML, like Gecko) Mobile Safari/537',
    5,
    false,
  ],
  ['Firefox on Linux', 'Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0', 0, false],
];

describe('the memory that a system lets a page hold', () => {
  it.each(AGENTS)('%s', (_, userAgent, maxTouchPoints, isIos) => {
    expect(findMemoryCeiling({ userAgent, maxTouchPoints })?.bytes ?? null).toBe(isIos ? 1.5 * GIB : null);
  });
});

describe('a plan under a ceiling of memory', () => {
  const iphone: PlatformFacts = { userAgent: AGENTS[0]?.[1] ?? '', maxTouchPoints: 5 };
  const request = { dtype: 'auto', contextTokens: null, simulatedLimits: null, conversations: 2 } as const;
  /** 402 M parameters in two layers; 8 KiB of keys and values a token in float32. */
  const config = {
    ...LLAMA_CONFIG,
    hidden_size: 4096,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 64,
    intermediate_size: 12_288,
    num_hidden_layers: 2,
    max_position_embeddings: 131_072,
  };
  const repository = makeSingle(config, listTensors(config));
  const MARGIN = 256 * 2 ** 20;

  for (const device of ['webgpu', 'wasm'] as Device[]) {
    it(`${device}: what would end the page does not fit, and it is said what would`, async () => {
      const asked = { ...request, device, dtype: 'fp32' } as const;
      const error = await errorOf(plan(repository, { request: asked, platform: iphone }));
      expect(error.code).toBe('does_not_fit');
      expect(error.detail).toMatchObject({ limitBytes: 1.5 * GIB, alternatives: ['q8', 'q4'] });
      expect(error.detail['neededBytes']).toBeGreaterThan(4 * 402e6);
      expect(error.message).toMatch(/iPhone or iPad ends a page.*These dtypes would fit: q8, q4/u);
      expect((await plan(repository, { request: asked })).dtype).toBe('fp32');
    });

    it(`${device}: the cache of all conversations ends where the room does, also when it grows`, async () => {
      const made = await plan(repository, { request: { ...request, device }, platform: iphone });
      expect(made.dtype).toBe('q8');
      const { costs, contextTokens, maxContextTokens, longestContextTokens } = made;
      expect(contextTokens).toBe(2048);
      expect(maxContextTokens).toBeGreaterThan(contextTokens);
      expect(longestContextTokens).toBeLessThan(131_072);
      const held = (tokens: number): number =>
        MARGIN + costs.weightBytes + costs.activationBytes + 2 * tokens * costs.kvBytesPerToken;
      expect(held(maxContextTokens)).toBeLessThanOrEqual(1.5 * GIB);

      const long = { ...request, device, contextTokens: 131_072 };
      const shortened = await plan(repository, { request: long, platform: iphone });
      expect(shortened.contextTokens).toBe(longestContextTokens);
      expect(shortened.contextReason).toMatch(/Shortened from 131072 tokens: .*iPhone or iPad has room for no more/u);
      expect((await plan(repository, { request: long })).contextTokens).toBe(131_072);
    });
  }
});
