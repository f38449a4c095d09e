/**
 * Completes a tokenizer with the tokens that stand outside tokenizer.json.
 *
 * In: tokenizer.json and the smaller JSON files around it. Out: the same tokenizer whose `added_tokens` are complete, and a
 * config whose special tokens are plain strings. The rules are those of transformers 5 (`PreTrainedTokenizerBase._from_pretrained`
 * and `TokenizersBackend.__init__`):
 *
 *  1. `added_tokens_decoder` of tokenizer_config.json, in the order of its ids. Only where it is missing,
 *     special_tokens_map.json (over the config's own special tokens) and added_tokens.json are read instead.
 *  2. Then every named special token (`bos_token` … `mask_token`, then other `…_token` keys), then the extra ones, if nothing
 *     has added them yet.
 *
 * A token that the vocabulary knows keeps its id there. A new one gets the next free id, in this order, whatever number it is
 * said to have: so does the tokenizers library (`AddedVocabulary::add_tokens`).
 */
import { isJsonObject } from './json-object.ts';
import type { JsonObject } from './json-object.ts';

/** The JSON files of a tokenizer; null for what the repository lacks. */
export interface TokenizerJsonFiles {
  /** tokenizer.json, or what another vocabulary was converted to. */
  readonly tokenizer: JsonObject;
  /** tokenizer_config.json. */
  readonly config: JsonObject | null;
  /** special_tokens_map.json. */
  readonly specialTokensMap: JsonObject | null;
  /** added_tokens.json: token → id. */
  readonly addedTokens: JsonObject | null;
}

/** An entry of `added_tokens` without its id. */
export interface AddedToken {
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

const NAMED_TOKENS = [
  'bos_token',
  'eos_token',
  'unk_token',
  'sep_token',
  'pad_token',
  'cls_token',
  'mask_token',
] as const;

/** Of the tokenizers library. */
const MODEL_TYPES = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'];

/** Parts that a tokenizer.json may leave out; transformers.js asks for them all the same. */
const NO_PARTS: JsonObject = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };

/** @throws Error, saying which file and key, for a token that is none */
export function completeTokenizer(files: TokenizerJsonFiles): {
  readonly tokenizer: JsonObject;
  readonly config: JsonObject;
} {
  assertModel(files.tokenizer);
  const config = mergeSpecialTokens(files);
  const special = readSpecialTokens(config);
  const vocabulary = new AddedVocabulary(files.tokenizer);
  const declared = listDeclaredTokens(files, config, special);
  const contents = new Set([...vocabulary.contents(), ...declared.map(({ content }) => content)]);
  // The same text may come twice: the later flags count then.
  const missing = [...special.named.values(), ...special.extra].filter(({ content }) => !contents.has(content));
  const isNamed = new Set([...special.named.values()].map(({ content }) => content));
  for (const token of [...declared, ...missing]) {
    vocabulary.add(isNamed.has(token.content) ? { ...token, special: true } : token);
  }
  return {
    tokenizer: { ...NO_PARTS, ...files.tokenizer, added_tokens: vocabulary.list() },
    config: flattenConfig(config, special),
  };
}

/** transformers.js takes any other model for a list of words, and would split every text wrongly. */
function assertModel({ model }: JsonObject): void {
  if (!isJsonObject(model)) throw new Error('tokenizer.json has no model.');
  const { type } = model;
  // Files from before the type was written down have none.
  if (type === undefined || MODEL_TYPES.some((known) => known === type)) return;
  throw new Error(`The model of tokenizer.json is of an unknown type: ${JSON.stringify(type)}.`);
}

/**
 * The config, with special_tokens_map.json over it where that is still what counts. What its own `additional_special_tokens` make
 * special comes too late for added_tokens.json: it stays under that name here.
 */
function mergeSpecialTokens({ config, specialTokensMap }: TokenizerJsonFiles): JsonObject {
  const own = renameExtraTokens({ ...config });
  if (own['added_tokens_decoder'] !== undefined || specialTokensMap === null) return own;
  const merged = { ...own, ...specialTokensMap };
  const extra = specialTokensMap['extra_special_tokens'];
  if (Array.isArray(extra)) {
    merged['extra_special_tokens'] = [...asArray(own['extra_special_tokens']), ...asArray(extra)];
  }
  return merged;
}

/** transformers 5 calls `extra_special_tokens` what its predecessors called `additional_special_tokens`. */
function renameExtraTokens({ additional_special_tokens: additional, ...rest }: JsonObject): JsonObject {
  if (additional === undefined || hasItems(rest['extra_special_tokens'])) return rest;
  return { ...rest, extra_special_tokens: additional };
}

interface SpecialTokens {
  /** By key: the standard ones first. */
  readonly named: ReadonlyMap<string, AddedToken>;
  readonly extra: readonly AddedToken[];
}

function readSpecialTokens(merged: JsonObject): SpecialTokens {
  const config = renameExtraTokens(merged);
  const extra = config['extra_special_tokens'] ?? [];
  const isStandard = (key: string): boolean => NAMED_TOKENS.some((name) => name === key);
  const isToken = (value: unknown): boolean =>
    typeof value === 'string' || (isJsonObject(value) && typeof value['content'] === 'string');
  const ownKeys = Object.keys(config).filter(
    (key) => key.endsWith('_token') && !isStandard(key) && isToken(config[key]),
  );
  const named = new Map<string, AddedToken>();
  for (const key of [...NAMED_TOKENS, ...ownKeys]) {
    const value = config[key];
    if (value !== undefined && value !== null) named.set(key, readToken(value, `The special token ${key}`, true));
  }
  if (isJsonObject(extra)) {
    for (const [key, value] of Object.entries(extra))
      named.set(key, readToken(value, `extra_special_tokens.${key}`, true));
    return { named, extra: [] };
  }
  const list = asArray(extra).map((value, index) => readToken(value, `extra_special_tokens[${index}]`, true));
  return { named, extra: list };
}

/** What is added for its own sake, in the order of the ids that the files give. */
function listDeclaredTokens(
  { tokenizer, addedTokens }: TokenizerJsonFiles,
  config: JsonObject,
  special: SpecialTokens,
): readonly AddedToken[] {
  const byId = new Map<number, AddedToken>();
  const decoder = config['added_tokens_decoder'];
  if (decoder !== undefined) {
    if (!isJsonObject(decoder)) throw new Error('added_tokens_decoder in tokenizer_config.json is no object.');
    for (const [id, value] of Object.entries(decoder)) {
      byId.set(readId(Number(id), id), readToken(value, `added_tokens_decoder["${id}"]`, false));
    }
  } else {
    const standard = NAMED_TOKENS.flatMap((key) => special.named.get(key) ?? []);
    const extra = config['extra_special_tokens'] === undefined ? [] : special.extra;
    const isSpecial = new Set([...standard, ...extra].map(({ content }) => content));
    for (const [content, id] of Object.entries(addedTokens ?? {})) {
      byId.set(readId(id, content), readToken(content, content, isSpecial.has(content)));
    }
    for (const entry of readAddedTokens(tokenizer)) byId.set(entry.id, entry.token);
  }
  return [...byId].sort(([a], [b]) => a - b).map(([, token]) => token);
}

function readAddedTokens(tokenizer: JsonObject): readonly { readonly id: number; readonly token: AddedToken }[] {
  return asArray(tokenizer['added_tokens']).map((value, index) => {
    const where = `added_tokens[${index}] of tokenizer.json`;
    return { id: readId(isJsonObject(value) ? value['id'] : undefined, where), token: readToken(value, where, false) };
  });
}

function readToken(value: unknown, where: string, isSpecial: boolean): AddedToken {
  const fields: JsonObject = isJsonObject(value) ? value : { content: value };
  const { content } = fields;
  if (typeof content !== 'string') throw new Error(`${where} is no token: it has no text.`);
  const flag = (name: string, byDefault: boolean): boolean => {
    const stated = fields[name];
    return typeof stated === 'boolean' ? stated : byDefault;
  };
  const special = isSpecial || flag('special', false);
  return {
    content,
    single_word: flag('single_word', false),
    lstrip: flag('lstrip', false),
    rstrip: flag('rstrip', false),
    normalized: flag('normalized', !special),
    special,
  };
}

function readId(id: unknown, where: string): number {
  if (typeof id === 'number' && Number.isSafeInteger(id) && id >= 0) return id;
  throw new Error(`${where} has no id.`);
}

/** The vocabulary of the model and the tokens added to it. */
class AddedVocabulary {
  readonly #vocab: unknown;
  readonly #byContent = new Map<string, { id: number; token: AddedToken }>();
  #ids: ReadonlyMap<unknown, number> | null = null;
  /** No added token has an id of this or above. */
  #endOfAdded = 0;
  #size: number | null = null;

  constructor(tokenizer: JsonObject) {
    const { model } = tokenizer;
    this.#vocab = isJsonObject(model) ? model['vocab'] : undefined;
    for (const { id, token } of readAddedTokens(tokenizer)) this.#set(id, token);
  }

  contents(): Iterable<string> {
    return this.#byContent.keys();
  }

  add(token: AddedToken): void {
    const { content } = token;
    if (content === '') return;
    this.#set(this.#byContent.get(content)?.id ?? this.#findId(content) ?? this.#nextId(), token);
  }

  list(): readonly JsonObject[] {
    return [...this.#byContent.values()].sort((a, b) => a.id - b.id).map(({ id, token }) => ({ id, ...token }));
  }

  #set(id: number, token: AddedToken): void {
    this.#byContent.set(token.content, { id, token });
    this.#endOfAdded = Math.max(this.#endOfAdded, id + 1);
  }

  #findId(content: string): number | undefined {
    if (!Array.isArray(this.#vocab)) {
      const vocab = isJsonObject(this.#vocab) ? this.#vocab : {};
      return Object.hasOwn(vocab, content) ? readId(vocab[content], content) : undefined;
    }
    // A list of [token, score]: made a map only once somebody asks.
    this.#ids ??= new Map(this.#vocab.map((entry: unknown, id) => [Array.isArray(entry) ? entry[0] : entry, id]));
    return this.#ids.get(content);
  }

  #nextId(): number {
    this.#size ??= Array.isArray(this.#vocab) ? this.#vocab.length : Object.keys(this.#vocab ?? {}).length;
    return Math.max(this.#size, this.#endOfAdded);
  }
}

/** What transformers.js reads: texts, where Python keeps objects. Which tokens are special stands in the tokenizer by now. */
function flattenConfig(config: JsonObject, { named }: SpecialTokens): JsonObject {
  const dropped = ['extra_special_tokens', 'additional_special_tokens', 'added_tokens_decoder'];
  const rest = Object.entries(config).filter(([key]) => !dropped.includes(key));
  return Object.fromEntries([...rest, ...[...named].map(([key, { content }]) => [key, content] as const)]);
}

function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function hasItems(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : isJsonObject(value) && Object.keys(value).length > 0;
}
