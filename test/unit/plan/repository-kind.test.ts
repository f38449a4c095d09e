/**
 * What a repository may be besides a checkpoint: said by its kind, before anything is downloaded.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { errorOf, LLAMA_CONFIG, listTensors, makeRepository, makeSingle, plan } from './made-repository.ts';

const CASES = new URL('../../../../shared/data/cases/', import.meta.url);
const REAL = new URL('../../../../shared/data/real-configs/', import.meta.url);

/** The files of a real repository, and others of which only the name is known. */
function readCase(folder: URL, ...names: string[]): ReturnType<typeof makeRepository> | null {
  if (!existsSync(folder)) {
    console.warn(`SKIPPED: ${folder.pathname} is absent`);
    return null;
  }
  const files = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== 'SOURCE.txt')
    .map(({ name }) => name);
  const texts = files.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')] as const);
  return makeRepository(new Map(), Object.fromEntries([...texts, ...names.map((name) => [name, 'x'] as const)]));
}

describe('an adapter', () => {
  const config = { peft_type: 'LORA', base_model_name_or_path: 'acme/base-7b', r: 8 };

  it.each([
    ['its usual files', { 'adapter_config.json': config, 'adapter_model.safetensors': 'x' }],
    [
      'the base config beside it',
      { 'adapter_config.json': config, 'adapter_model.bin': 'x', 'config.json': LLAMA_CONFIG },
    ],
  ])('adapter_repository names the base and how to merge: %s', async (_, files) => {
    const error = await errorOf(plan(makeRepository(new Map(), files)));
    expect(error.code).toBe('adapter_repository');
    expect(error.detail).toMatchObject({ baseModel: 'acme/base-7b', adapterType: 'LORA' });
    expect(error.message).toMatch(/adapter \(LORA\) of acme\/base-7b\. Load acme\/base-7b instead.*merge_and_unload/u);
  });

  it('a real one that does not name its base', async ({ skip }) => {
    const repository = readCase(new URL('lora-adapter-tinyllama/', CASES), 'adapter_model.safetensors');
    if (!repository) return skip();
    const error = await errorOf(plan(repository));
    expect([error.code, error.detail.baseModel]).toEqual(['adapter_repository', null]);
  });

  it('merged weights beside the config of the adapter are a model', async () => {
    const repository = makeSingle(LLAMA_CONFIG, listTensors(LLAMA_CONFIG), { 'adapter_config.json': config });
    expect((await plan(repository)).spec.modelType).toBe('llama');
  });
});

describe('weights of another format', () => {
  it.each([
    ['GGUF', ['model-Q4_K_M.gguf']],
    ['PyTorch', ['pytorch_model-00001-of-00002.bin', 'pytorch_model.bin.index.json']],
    ['PyTorch', ['consolidated.00.pth', 'training_args.bin']],
    ['PyTorch', ['model.pt']],
    ['TensorFlow', ['tf_model.h5']],
    ['Flax', ['flax_model.msgpack']],
    ['ONNX', ['onnx/model.onnx', 'onnx/model.onnx_data']],
    ['OpenVINO', ['openvino_model.bin', 'openvino_model.xml']],
    ['NumPy', ['weights.npz']],
    ['safetensors under other names', ['consolidated.safetensors']],
  ])('no_safetensors says %s, whatever the config is: %j', async (format, names) => {
    const files = Object.fromEntries(names.map((name) => [name, 'x']));
    for (const config of [LLAMA_CONFIG, { model_type: 'llama' }, '{']) {
      const error = await errorOf(plan(makeRepository(new Map(), { ...files, 'config.json': config })));
      expect(error.code).toBe('no_safetensors');
      expect(error.message).toContain(`its weights as ${format} (`);
      expect(error.detail['seen']).toEqual([expect.objectContaining({ format })]);
    }
  });

  it('a real repository of GGUF files with a stub of a config', async ({ skip }) => {
    const repository = readCase(new URL('gguf-stub-config/', CASES), 'MythTrans-Q4_K_M.gguf');
    if (!repository) return skip();
    const error = await errorOf(plan(repository));
    expect(error.code).toBe('no_safetensors');
    expect(error.message).toContain('GGUF (MythTrans-Q4_K_M.gguf)');
  });

  it('in a folder on this computer, files that are not there may be links, which a page is not shown', async () => {
    const index = { weight_map: { 'model.norm.weight': 'model-00001-of-00001.safetensors' } };
    for (const files of [{}, { 'model.safetensors.index.json': index }]) {
      const made = makeRepository(new Map(), { ...files, 'config.json': LLAMA_CONFIG });
      const hidden = await errorOf(plan({ ...made, snapshot: { ...made.snapshot, source: 'folder' } }));
      expect(['no_safetensors', 'file_not_found']).toContain(hidden.code);
      expect(hidden.message).toContain('Links are not shown to a page');
      expect((await errorOf(plan(made))).message).not.toContain('Links');
    }
  });

  it('files that end like weights and are none are not called weights', async () => {
    const error = await errorOf(
      plan(makeRepository(new Map(), { 'config.json': LLAMA_CONFIG, 'training_args.bin': 'x' })),
    );
    expect([error.code, error.detail['seen']]).toEqual(['no_safetensors', []]);
  });
});

describe("other libraries' repositories", () => {
  it.each([
    ['diffusers', { 'model_index.json': {}, 'unet/diffusion_pytorch_model.safetensors': 'x', 'unet/config.json': {} }],
    ['sentence-transformers', { 'modules.json': [], 'config.json': LLAMA_CONFIG, 'model.safetensors': 'x' }],
  ])('unsupported_format says %s', async (name, files) => {
    const error = await errorOf(plan(makeRepository(new Map(), files)));
    expect(error.code).toBe('unsupported_format');
    expect(error.message).toContain(name);
  });

  it('a real encoder that is made of a decoder', async ({ skip }) => {
    const repository = readCase(new URL('dunzhang__stella_en_1.5B_v5/', REAL), 'model.safetensors', 'modules.json');
    if (!repository) return skip();
    expect((await errorOf(plan(repository))).code).toBe('unsupported_format');
  });
});

describe('a decoder with another head than for text', () => {
  const tensors = listTensors(LLAMA_CONFIG);

  it.each([
    ['LlamaForSequenceClassification', 'classifier of whole texts'],
    ['LlamaForTokenClassification', 'classifier of single tokens'],
    ['LlamaForQuestionAnswering', 'marks answers'],
    ['LlamaForRewardModel', 'reward model'],
    ['LlamaForRewardModelWithGating', 'reward model'],
    ['Qwen2ForProcessRewardModel', 'reward model'],
  ])('unsupported_architecture: %s', async (name, words) => {
    const withHead = new Map(tensors).set('score.weight', { dtype: 'BF16', shape: [1, 64] });
    const error = await errorOf(plan(makeSingle({ ...LLAMA_CONFIG, architectures: [name] }, withHead)));
    expect(error.code).toBe('unsupported_architecture');
    expect(error.message).toContain(name);
    expect(error.message).toContain(words);
  });

  it.each(['score.weight', 'model.score.weight', 'classifier.weight', 'qa_outputs.weight'])(
    'is known by its tensors where the config names no class: %s',
    async (name) => {
      const withHead = new Map(tensors).set(name, { dtype: 'BF16', shape: [1, 64] });
      const error = await errorOf(plan(makeSingle({ ...LLAMA_CONFIG, architectures: null }, withHead)));
      expect([error.code, error.detail.names]).toEqual(['unsupported_architecture', [name]]);
    },
  );

  it.each([[['LlamaForCausalLM']], [['LlamaModel']], [null], [['MyOwnForCausalLM']]])(
    'a class that writes text, or says nothing of a head, is taken: %j',
    async (architectures) => {
      expect((await plan(makeSingle({ ...LLAMA_CONFIG, architectures }, tensors))).spec.modelType).toBe('llama');
    },
  );
});

describe('a model type that is not supported', () => {
  it.each([
    [
      'a model of several kinds of input',
      { model_type: 'llava', vision_config: {}, architectures: ['LlavaForConditionalGeneration'] },
    ],
    [
      'an encoder and a decoder',
      { model_type: 't5', is_encoder_decoder: true, architectures: ['T5ForConditionalGeneration'] },
    ],
    ['an encoder', { model_type: 'bert', architectures: ['BertModel'] }],
    ['an encoder', { model_type: 'roberta', architectures: ['RobertaForMaskedLM'] }],
    ['a classifier of whole texts', { model_type: 'bert', architectures: ['BertForSequenceClassification'] }],
    ['a model for images', { model_type: 'vit', architectures: ['ViTForImageClassification'] }],
    ['a model for speech', { model_type: 'whisper', architectures: ['WhisperForConditionalGeneration'] }],
    ['a model for speech', { model_type: 'wav2vec2', architectures: ['Wav2Vec2ForCTC'] }],
  ])('is called %s: %j', async (words, config) => {
    const error = await errorOf(plan(makeSingle(config, new Map())));
    expect(error.code).toBe('unsupported_architecture');
    expect(error.message).toContain(`It is ${words}`);
    expect(error.detail.supported).toContain('llama');
  });
});
