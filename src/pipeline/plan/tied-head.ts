/**
 * Whether the head is the token embedding, where config.json says that it is and the checkpoint holds both.
 *
 * In: the shape that config.json states, the checkpoint's tensors, and a range reader. Out: the shape as the checkpoint has it,
 * and a notice where that is news. Guarantees: the decision is that of transformers 5 (modeling_utils.py, `tie_weights`): the
 * two are one where they are equal, and each is used as it is where they differ, whatever config.json says; where only one is
 * saved, it serves as both.
 */
import { forEachConcurrent } from '../../base/concurrency.ts';
import type { WeightSpec } from '../../blueprints/blueprint.ts';
import type { DecoderSpec } from '../../contract/decoder-spec.ts';
import type { ByteRange, StoredTensor } from '../../formats/checkpoint-format.ts';
import { findNaming } from './match-tensors.ts';
import { placeOf, type ReadRange, type TensorTable } from './read-headers.ts';

/** What the checkpoint says. */
export interface SettledSpec {
  readonly spec: DecoderSpec;
  readonly notices: readonly string[];
}

/**
 * Of two tensors so many ranges are compared, spread evenly, the first and the last bytes among them. Heads that were trained
 * apart differ everywhere; where only tokens were added, they are the last rows. (Reading both whole would be up to a third of
 * a small model's download, before it begins.)
 */
const SAMPLE_COUNT = 8;
const SAMPLE_BYTES = 4096;
const CONCURRENT_SAMPLES = 4;

/** Settles a tied shape; any other is what it says. @throws LoadError, what the reader throws */
export async function settleTying(
  spec: DecoderSpec,
  specs: readonly WeightSpec[],
  table: TensorTable,
  readRange: ReadRange,
  signal: AbortSignal | undefined,
): Promise<SettledSpec> {
  const source = specs.flatMap(({ sources }) => sources).find(({ orElse }) => orElse !== undefined);
  if (!source?.orElse) return { spec, notices: [] };
  const toFileName = findNaming(specs, table);
  const embedding = table.get(toFileName(source.tensor));
  const head = table.get(toFileName(source.orElse));
  if (!embedding && head) {
    return {
      spec,
      notices: [`${head.name} serves as the token embedding, too: config.json ties the two, and only it is saved.`],
    };
  }
  if (!embedding || !head || (await areEqual(embedding, head, readRange, signal))) return { spec, notices: [] };
  const notice =
    `config.json ties ${head.name} to the token embedding, but the checkpoint holds both and they differ: each is used as ` +
    'it is, as transformers does. tie_word_embeddings should be false.';
  return { spec: { ...spec, head: { ...spec.head, tied: false } }, notices: [notice] };
}

async function areEqual(
  a: StoredTensor,
  b: StoredTensor,
  readRange: ReadRange,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if (a.storedAs !== b.storedAs || a.shape.join() !== b.shape.join()) return false;
  let areSame = true;
  const [placeA, placeB] = [placeOf(a), placeOf(b)];
  const samples = listSamples(placeA.end - placeA.start);
  await forEachConcurrent(
    samples,
    CONCURRENT_SAMPLES,
    async ({ start, end }) => {
      if (!areSame) return;
      const read = ({ file, start: first }: ByteRange): Promise<Uint8Array> =>
        readRange(file, first + start, first + end);
      const [ofA, ofB] = await Promise.all([read(placeA), read(placeB)]);
      if (ofA.length !== ofB.length || ofA.some((byte, index) => byte !== ofB[index])) areSame = false;
    },
    signal,
  );
  return areSame;
}

/** Byte ranges within a tensor; the whole of a small one. */
function listSamples(sizeBytes: number): readonly { readonly start: number; readonly end: number }[] {
  if (sizeBytes <= SAMPLE_COUNT * SAMPLE_BYTES) return [{ start: 0, end: sizeBytes }];
  return Array.from({ length: SAMPLE_COUNT }, (_, index) => {
    const start = Math.round((index * (sizeBytes - SAMPLE_BYTES)) / (SAMPLE_COUNT - 1));
    return { start, end: start + SAMPLE_BYTES };
  });
}
