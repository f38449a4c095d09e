/**
 * The random numbers of one generation: transformers.js's Mersenne Twister with a state of its own, so that two
 * conversations do not disturb each other's seeds, and both paths of a generation draw the same numbers.
 */
import type { Transformers } from '../../runtime/ort/transformers.ts';

/** Numbers in [0, 1); without a seed they differ each time. */
export function makeRandom(transformers: Transformers, seed: number | null): () => number {
  const generator = new transformers.random.Random(seed ?? undefined) as { random(): number };
  return () => generator.random();
}
