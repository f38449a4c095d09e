/**
 * Refuses a config.json with a field that its family does not know: it may change what the model computes, which then answers
 * wrongly without a word.
 *
 * In: the fields that were not read. Out: nothing, or `unsupported_architecture` that names them. The exceptions stand here, each
 * with its reason.
 */
import { LoadError } from '../../contract/errors.ts';
import type { RecordedConfig } from './recorded-config.ts';

/** Fields without an effect on logits, whatever they hold. */
const WITHOUT_EFFECT: readonly (readonly [reason: string, fields: readonly (string | RegExp)[]])[] = [
  ['chose the family that reads the rest', ['model_type']],
  ['says how the checkpoint is stored, which its format reads', ['quantization', 'quantization_config']],
  [
    'says where the model comes from',
    [
      /^_/,
      /^(transformers|mergekit|unsloth)[._-]?\w*$/,
      'architectures',
      'auto_map',
      'custom_pipelines',
      'finetuning_task',
      'base_model_tp_plan',
      'model_name',
      'model_max_length',
    ],
  ],
  [
    'is the number format that it was saved in',
    ['torch_dtype', 'dtype', 'use_bfloat16', 'tf_legacy_loss', 'torchscript', 'load_in_4bit', 'load_in_8bit'],
  ],
  [
    'is for training',
    [
      'attention_dropout',
      'hidden_dropout',
      'resid_pdrop',
      'embd_pdrop',
      'attn_pdrop',
      'hidden_dropout_prob',
      'classifier_dropout',
      'dropout',
      'initializer_range',
      'gradient_checkpointing',
      'neftune_noise_alpha',
      'use_liger_kernel',
      'rope_init_fn',
    ],
  ],
  [
    'says how other programs compute the same',
    [
      'use_cache',
      'max_sequence_length',
      'pretraining_tp', // it once had matrices multiplied in slices, which only rounds in another order
      'attn_implementation',
      'use_flash_attn',
      'return_dict',
      'output_attentions',
      'output_hidden_states',
      'chunk_size_feed_forward',
      'use_reentrant',
      'is_llama_config',
      'onnx',
      'torch_compile',
      'cache_implementation',
    ],
  ],
  [
    'is for generation, which generation_config.json and the request decide',
    [
      /_token_id$/,
      'max_length',
      'min_length',
      'max_new_tokens',
      'do_sample',
      'early_stopping',
      'num_beams',
      'num_beam_groups',
      'diversity_penalty',
      'temperature',
      'top_k',
      'top_p',
      'typical_p',
      'repetition_penalty',
      'length_penalty',
      'no_repeat_ngram_size',
      'encoder_no_repeat_ngram_size',
      'bad_words_ids',
      'num_return_sequences',
      'output_scores',
      'return_dict_in_generate',
      'forced_bos_token_id',
      'forced_eos_token_id',
      'remove_invalid_values',
      'exponential_decay_length_penalty',
      'suppress_tokens',
      'begin_suppress_tokens',
      'stop_strings',
    ],
  ],
  [
    'is about labels, which a language model does not give',
    ['id2label', 'label2id', 'num_labels', 'problem_type', 'task_specific_params', 'prefix', 'tokenizer_class'],
  ],
  ['is read with the tokenizer', ['chat_template', 'bos_token', 'eos_token', 'pad_token']],
  ['stands in published configs, and no class of transformers reads it', ['mask_value', 'tokenizer']],
];

/** @throws LoadError `unsupported_architecture` */
export function refuseUnread(
  modelType: string,
  { listUnread }: Pick<RecordedConfig, 'listUnread'>,
  ignored: readonly string[],
): void {
  const unknown = listUnread().filter(({ field }) => !isWithoutEffect(field) && !ignored.includes(field));
  if (unknown.length === 0) return;
  const shown = unknown.map(({ field, value }) => `${field} (${JSON.stringify(value).slice(0, 40)})`);
  throw new LoadError('unsupported_architecture', {
    message:
      `config.json says what ${modelType} here does not know: ${shown.slice(0, 5).join(', ')}. ` +
      'It may change what the model computes, so it is not passed over.',
    detail: { modelType, fields: unknown.map(({ field }) => field) },
  });
}

function isWithoutEffect(field: string): boolean {
  return WITHOUT_EFFECT.some(([, fields]) =>
    fields.some((known) => (typeof known === 'string' ? known === field : known.test(field))),
  );
}
