/**
 * The token ids that a model is checked with before it is called ready. Pure.
 *
 * In: what a first prompt begins with. Out: ids of which the first half are those, in their place, and the rest is spread over
 * the vocabulary. Beginnings are where a model's values are largest ("massive activations", arXiv:2402.17762), so that number
 * formats which do not hold them fail here and not in the first conversation; the others give a damaged embedding a chance to
 * show.
 */
export function chooseCheckedIds(firstIds: readonly number[], vocabSize: number, count: number): readonly number[] {
  const known = firstIds.filter((id) => Number.isSafeInteger(id) && id >= 0 && id < vocabSize);
  const first = known.slice(0, Math.ceil(count / 2));
  const rest = Array.from({ length: count - first.length }, (_, index) => (index * 31 + 1) % vocabSize);
  return [...first, ...rest];
}
