import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isLoadError } from '../../../src/contract/errors.ts';
import { findModelRoot } from '../../../src/pipeline/resolve/sources/model-root.ts';

const find = (...paths: string[]): string => findModelRoot(paths, 'chosen');
function refusal(...paths: string[]): unknown {
  try {
    return find(...paths);
  } catch (error) {
    return isLoadError(error) ? { code: error.code, message: error.message, ...error.detail } : error;
  }
}

describe('the model is the folder that holds config.json', () => {
  test.each([
    ['the chosen folder itself', ['config.json', 'model.safetensors'], ''],
    ['a folder in it', ['README.md', 'tiny/config.json', 'tiny/model.safetensors'], 'tiny'],
    ['deeper down', ['models/acme/tiny/config.json'], 'models/acme/tiny'],
    ['parts of a model with configs of their own', ['config.json', '1_Pooling/config.json', 'onnx/config.json'], ''],
    ['checkpoints below a model', ['run/config.json', 'run/checkpoint-10/config.json'], 'run'],
    ['names that only end like it', ['a/config.json', 'b/tokenizer_config.json', 'b/my-config.json'], 'a'],
    ['a folder whose name begins another name', ['a/config.json', 'a/b/config.json'], 'a'],
  ])('%s', (_, paths, root) => {
    expect(find(...paths)).toBe(root);
  });

  test.each([
    ['an adapter', ['run/adapter_config.json', 'run/adapter_model.safetensors'], 'run'],
    ['a pipeline of models', ['pipe/model_index.json', 'pipe/unet/diffusion_pytorch_model.safetensors'], 'pipe'],
    ['weights of another format', ['quantised/model-Q4_K_M.gguf', 'README.md'], ''],
  ])('or what tells that it is no model: %s', (_, paths, root) => {
    expect(find(...paths)).toBe(root);
  });

  test('several side by side: all are named, none is guessed', () => {
    expect(refusal('b/config.json', 'a/config.json', 'a/x/config.json', 'ab/config.json')).toMatchObject({
      code: 'invalid_argument',
      reason: 'several_models',
      roots: ['a', 'ab', 'b'],
    });
  });

  test('none', () => {
    expect(refusal('tokenizer_config.json', 'x.safetensors')).toMatchObject({ code: 'file_not_found', fileCount: 2 });
    expect(refusal()).toMatchObject({ code: 'file_not_found', reason: 'no_files' });
  });

  test('the order of the files does not matter', () => {
    const paths = ['x/config.json', 'x/y/config.json', 'x/y/z/model.safetensors', 'README.md'];
    fc.assert(
      fc.property(fc.shuffledSubarray(paths, { minLength: paths.length }), (shuffled) => {
        expect(find(...shuffled)).toBe('x');
      }),
    );
  });
});
