/**
 * A repository's JSON, as Python reads it: test/reference/references/repository_json.py recorded what comes out.
 */
import { flatten } from '../blueprints/support/flat-spec.ts';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { findBlueprint } from '../../../src/blueprints/registry.ts';
import { LoadError } from '../../../src/contract/errors.ts';
import { readJson, readJsonObject } from '../../../src/formats/repository/repository-json.ts';

interface Recorded {
  readonly texts: readonly ({ readonly latin1: string } & ({ readonly value: unknown } | { readonly error: string }))[];
  readonly configs: readonly {
    readonly text: string;
    readonly shape: Readonly<Record<string, unknown>> & { readonly theta: number };
    readonly contextTokens: number;
    readonly window: number | null;
    readonly isSilu: boolean;
  }[];
}

const FLOATS: Readonly<Record<string, number>> = { nan: NaN, inf: Infinity, '-inf': -Infinity };

const RECORDED = JSON.parse(
  readFileSync(new URL('../../fixtures/reference/repository-json.json', import.meta.url), 'utf8'),
  (_key, value: unknown) => {
    const name = (value as { float?: unknown } | null)?.float;
    return typeof name === 'string' ? FLOATS[name] : value;
  },
) as Recorded;

const read = (bytes: Uint8Array): unknown =>
  readJson(bytes, 'x.json', (cause) => new LoadError('config_invalid', { cause })).value;

describe('JSON as Python reads it', () => {
  test.each(RECORDED.texts)('$latin1', (text) => {
    const bytes = Uint8Array.from(text.latin1, (character) => character.charCodeAt(0));
    if ('value' in text) expect(read(bytes)).toEqual(text.value);
    else expect(() => read(bytes)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });

  test('nesting without end is an error, not a stack that overflows', () => {
    const deep = new TextEncoder().encode(`[NaN, ${'['.repeat(1e6)}`);
    expect(() => read(deep)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });

  test.each(['[]', 'null', '7', '"text"', 'NaN'])('%s is not the object that a config is', (text) => {
    expect(() => readJsonObject(new TextEncoder().encode(text), 'config.json')).toThrow(
      expect.objectContaining({ code: 'config_invalid', detail: { file: 'config.json' } }),
    );
  });
});

/** Fields that the recorded texts have for their odd numbers alone; a family refuses what it does not know. */
const withoutFiller = (config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(config).filter(([field]) => !['above', 'below', 'beyond'].includes(field)));

describe("config.json as transformers' AutoConfig reads it", () => {
  test.each(RECORDED.configs)('$text', ({ text, shape: { theta, ...fields }, contextTokens, window, isSilu }) => {
    const config = readJsonObject(new TextEncoder().encode(text), 'config.json');
    const shape = flatten(findBlueprint(config).readSpec(withoutFiller(config)));
    expect(isSilu).toBe(true);
    expect(shape).toMatchObject(fields);
    expect(shape.rotary.theta).toBe(theta);
    // Within the window, sliding attention is full attention: it caps the context.
    expect(shape.maxContextTokens).toBe(Math.min(contextTokens, window ?? contextTokens));
  });
});
