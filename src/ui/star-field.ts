/**
 * Stars for the masthead's sky.
 *
 * In: how many. Out: places and sizes, the same on every visit (a seeded generator, no randomness at run time).
 */

/** A star: place in percent of the sky, radius in pixels. */
export interface Star {
  readonly xPercent: number;
  readonly yPercent: number;
  readonly radius: number;
  readonly opacity: number;
  readonly twinkles: boolean;
}

/** Stars, denser towards the top, where the dawn has not reached. */
export function scatterStars(count: number, seed = 20_261): readonly Star[] {
  const next = createGenerator(seed);
  return Array.from({ length: count }, () => {
    const bright = next() ** 6;
    return {
      xPercent: round(next() * 100),
      yPercent: round(next() ** 1.7 * 88),
      radius: round(0.45 + bright * 1.25),
      opacity: round(0.35 + next() * 0.35 + bright * 0.3),
      twinkles: bright > 0.25,
    };
  });
}

/** A linear congruential generator (Numerical Recipes' constants); products stay below 2^53. */
function createGenerator(seed: number): () => number {
  const modulus = 4_294_967_296;
  let state = seed % modulus;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % modulus;
    return state / modulus;
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
