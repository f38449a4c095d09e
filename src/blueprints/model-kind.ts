/**
 * What a model is that is no decoder with a language model's head, in words: for the error that refuses it.
 *
 * In: config.json. Out: what the model is and what would do instead, or null where nothing is known. transformers names its
 * classes after what is on top (`LlamaForSequenceClassification`), and saves that name under `architectures`.
 */
import { type Config } from './config-reader.ts';

/** A kind of model that does not write text. */
export interface OtherKind {
  /** Completes "it is …". */
  readonly what: string;
  readonly instead: string;
}

const CHAT_MODEL = 'Load a chat model of one of the supported model types.';
const BASE_MODEL = 'Load the chat model that it was made from.';

/** By the name of the class, the first that matches. Reward models have classes of their own outside of transformers. */
const KINDS: readonly (readonly [RegExp, OtherKind])[] = [
  [/Reward|ForScore$/, { what: 'a reward model, which scores answers and writes none', instead: BASE_MODEL }],
  [
    /ForSequenceClassification$/,
    { what: 'a classifier of whole texts (or a reward model), which gives scores and no text', instead: BASE_MODEL },
  ],
  [
    /ForTokenClassification$/,
    { what: 'a classifier of single tokens, which gives labels and no text', instead: BASE_MODEL },
  ],
  [
    /ForQuestionAnswering$/,
    { what: 'a model that marks answers in a given text and writes none', instead: BASE_MODEL },
  ],
  [/ForMultipleChoice$/, { what: 'a model that chooses among given answers', instead: BASE_MODEL }],
  [/For(MaskedLM|PreTraining)$/, { what: 'an encoder, which fills in masked words', instead: CHAT_MODEL }],
  [/For(CTC|AudioClassification|SpeechSeq2Seq|TextToSpectrogram)/, { what: 'a model for speech', instead: CHAT_MODEL }],
  [
    /For(Image|Object|Semantic|Universal|Depth|Video)|^(CLIP|Siglip|ViT)/,
    { what: 'a model for images', instead: CHAT_MODEL },
  ],
];

/** What a decoder's own class, or another class that writes text with it, is called. */
const WRITES_TEXT = /(ForCausalLM|LMHeadModel|ForConditionalGeneration)$/;

/** An encoder of `model_type`s whose plain class says no more than `BertModel`. */
const ENCODER = /(bert|^electra$|^mpnet$|^deberta|^xlm-roberta|^nomic|^esm$)/;

/** A model that cannot write text although its `model_type` is that of a decoder; null where it can, or says nothing. */
export function findHead(config: Config): OtherKind | null {
  const names = readArchitectures(config);
  if (names.some((name) => WRITES_TEXT.test(name))) return null;
  return KINDS.find(([pattern]) => names.some((name) => pattern.test(name)))?.[1] ?? null;
}

/** Whether the config names a class that writes text. */
export function claimsToWriteText(config: Config): boolean {
  return readArchitectures(config).some((name) => WRITES_TEXT.test(name));
}

/** What a model of an unsupported `model_type` is. */
export function findKind(config: Config): OtherKind | null {
  const head = findHead(config);
  if (head) return head;
  const modelType = typeof config['model_type'] === 'string' ? config['model_type'] : '';
  const parts = ['text_config', 'vision_config', 'audio_config'].filter((field) => (config[field] ?? null) !== null);
  if (parts.length > 0)
    return { what: 'a model of several kinds of input, such as text and images', instead: CHAT_MODEL };
  if (config['is_encoder_decoder'] === true) {
    return { what: 'an encoder and a decoder, which turns one text into another', instead: CHAT_MODEL };
  }
  if (ENCODER.test(modelType)) return { what: 'an encoder, which makes embeddings and no text', instead: CHAT_MODEL };
  return null;
}

function readArchitectures(config: Config): readonly string[] {
  const names = config['architectures'];
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
}
