import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkEndpoint, checkModelId, checkRevision } from '../../../src/ui/model-id.ts';
import { readPageAddress } from '../../../src/ui/page-address.ts';

describe('readPageAddress', () => {
  it('takes everything that is valid', () => {
    expect(readPageAddress('?model=Qwen/Qwen2.5-0.5B&dtype=q4&device=wasm&revision=refs/pr/3&autoload=1')).toEqual({
      modelId: 'Qwen/Qwen2.5-0.5B',
      revision: 'refs/pr/3',
      dtype: 'q4',
      device: 'wasm',
      autoload: true,
      ignored: [],
    });
  });

  it('takes an address without parameters', () => {
    expect(readPageAddress('')).toMatchObject({ modelId: null, autoload: false, ignored: [] });
  });

  it.each([
    ['?model=../../etc&autoload=1', 'model'],
    ['?model=a/b/c&autoload=1', 'model'],
    ['?dtype=int3&autoload=1', 'dtype'],
    ['?device=npu&autoload=1', 'device'],
    ['?revision=a..b&autoload=1', 'revision'],
  ])('names what is wrong in %s and does not load by itself', (search, name) => {
    expect(readPageAddress(search)).toMatchObject({ ignored: [name], autoload: false });
  });

  it('never takes an endpoint or a token from a link', () => {
    const read = readPageAddress('?endpoint=https://evil.example&token=hf_x&hub=https://evil.example');
    expect(JSON.stringify(read)).not.toContain('evil');
    expect(JSON.stringify(read)).not.toContain('hf_x');
  });

  it('never throws, and yields only names that pass the check', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (model, rest) => {
        const read = readPageAddress(`?model=${encodeURIComponent(model)}&${rest}`);
        expect(read.modelId === null || checkModelId(read.modelId) === null).toBe(true);
      }),
    );
  });
});

describe('checkModelId', () => {
  it.each(['gpt2', 'firstlight/storyteller-2m', 'Qwen/Qwen2.5-0.5B', 'a/b_c.d', '01-ai/Yi-6B'])('takes %s', (id) => {
    expect(checkModelId(id)).toBeNull();
  });

  it.each([
    '',
    '/',
    'a/',
    '/b',
    'a/b/c',
    'a b/c',
    'a/..',
    '../a',
    'a/b--c',
    '-a/b',
    'a/b.',
    'a/b?x',
    'a/bé',
    `a/${'x'.repeat(97)}`,
  ])('refuses "%s" with a sentence', (id) => {
    expect(checkModelId(id)).toMatch(/\.$/);
  });
});

describe('checkRevision', () => {
  it.each(['main', 'v1.0', 'refs/pr/1', 'feature/x-y', 'a'.repeat(40)])('takes %s', (revision) => {
    expect(checkRevision(revision)).toBeNull();
  });

  it.each(['', ' ', '/main', 'main/', 'a..b', 'a//b', '-x', 'a b', 'a?b', 'x.lock', 'a@{1}'])(
    'refuses "%s"',
    (revision) => {
      expect(checkRevision(revision)).not.toBeNull();
    },
  );
});

describe('checkEndpoint', () => {
  it.each(['', 'https://huggingface.co', 'http://localhost:8080/hub/'])('takes "%s"', (endpoint) => {
    expect(checkEndpoint(endpoint)).toBeNull();
  });

  it.each(['huggingface.co', 'ftp://a', 'javascript:alert(1)', 'https://u:p@a', 'https://a?x=1', 'https://a#x'])(
    'refuses "%s"',
    (endpoint) => {
      expect(checkEndpoint(endpoint)).not.toBeNull();
    },
  );
});
