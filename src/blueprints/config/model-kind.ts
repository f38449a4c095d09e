/**
 * What a model is that is no decoder with a language model's head, in words: for the error that refuses it.
 *
 * In: config.json. Out: words that complete "it is …", or null where nothing is known. transformers names its
 * classes after what is on top (`LlamaForSequenceClassification`), and saves that name under `architectures`.
 */
import { type Config } from './config-reader.ts';

/** By the name of the class, the first that matches. Reward models have classes of their own outside of transformers. */
const KINDS: readonly (readonly [RegExp, string])[] = [
  [/Reward|ForScore$/, 'a reward model, which scores answers and writes none'],
  [/ForSequenceClassification$/, 'a classifier of whole texts (or a reward model), which gives scores and no text'],
  [/ForTokenClassification$/, 'a classifier of single tokens, which gives labels and no text'],
  [/ForQuestionAnswering$/, 'a model that marks answers in a given text and writes none'],
  [/ForMultipleChoice$/, 'a model that chooses among given answers'],
  [/For(MaskedLM|PreTraining)$/, 'an encoder, which fills in masked words'],
  [/^Whisper|For(CTC|AudioClassification|SpeechSeq2Seq|TextToSpectrogram)/, 'a model for speech'],
  [/For(Image|Object|Semantic|Universal|Depth|Video)|^(CLIP|Siglip|ViT)/, 'a model for images'],
];

/** What a decoder's own class, or another class that writes text with it, is called. */
const WRITES_TEXT = /(ForCausalLM|LMHeadModel|ForConditionalGeneration)$/;

/** An encoder of `model_type`s whose plain class says no more than `BertModel`. */
const ENCODER = /(bert|^electra$|^mpnet$|^deberta|^xlm-roberta|^nomic|^esm$)/;

/** A model that cannot write text although its `model_type` is that of a decoder; null where it can, or says nothing. */
export function findHead(config: Config): string | null {
  return claimsToWriteText(config) ? null : matchClass(config);
}

/** Whether the config names a class that writes text. */
export function claimsToWriteText(config: Config): boolean {
  return readArchitectures(config).some((name) => WRITES_TEXT.test(name));
}

/** What a model of an unsupported `model_type` is. */
export function findKind(config: Config): string | null {
  const named = matchClass(config);
  if (named !== null) return named;
  const parts = ['text_config', 'vision_config', 'audio_config'].filter((field) => (config[field] ?? null) !== null);
  if (parts.length > 0) return 'a model of several kinds of input, such as text and images';
  if (config['is_encoder_decoder'] === true) return 'an encoder and a decoder, which turns one text into another';
  const modelType = config['model_type'];
  if (typeof modelType === 'string' && ENCODER.test(modelType)) return 'an encoder, which makes embeddings and no text';
  return null;
}

function matchClass(config: Config): string | null {
  const names = readArchitectures(config);
  return KINDS.find(([pattern]) => names.some((name) => pattern.test(name)))?.[1] ?? null;
}

function readArchitectures(config: Config): readonly string[] {
  const names = config['architectures'];
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
}
