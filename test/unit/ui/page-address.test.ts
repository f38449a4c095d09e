import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findModelIdFault } from '../../../src/contract/model-name.ts';
import { checkEndpoint } from '../../../src/ui/addresses.ts';
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

  it('takes the address of a model, with the revision that it names', () => {
    const address = 'https://huggingface.co/org/name/tree/v1';
    expect(readPageAddress(`?model=${address}`)).toMatchObject({ modelId: 'org/name', revision: 'v1', ignored: [] });
    expect(readPageAddress(`?model=${address}&revision=v1`)).toMatchObject({ revision: 'v1', ignored: [] });
    expect(readPageAddress(`?model=${address}&revision=v2&autoload=1`)).toMatchObject({
      ignored: ['revision'],
      autoload: false,
    });
  });

  it.each([
    ['?model=https://evil.example/org/name&autoload=1', 'model'],
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
        expect(read.modelId === null || findModelIdFault(read.modelId) === null).toBe(true);
      }),
    );
  });
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
