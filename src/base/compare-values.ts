/**
 * How far two lists of numbers are apart, as a share of what the expected ones differ by among themselves. Pure.
 *
 * Guarantees: a NaN on either side makes the difference and the share NaN, which no `<=` accepts; lists of any length.
 */

/** What {@link compareValues} found. */
export interface ValueComparison {
  /** The largest difference of a found value from the expected one. */
  readonly difference: number;
  /** Largest less smallest expected value; where all are equal, and so have no spread, how large they are. */
  readonly spread: number;
  /** See {@link toShare}. */
  readonly share: number;
}

/** Compares the values at each index of `expected`; one that was not found counts as NaN. */
export function compareValues(expected: ArrayLike<number>, found: ArrayLike<number>): ValueComparison {
  let difference = 0;
  let smallest = Infinity;
  let largest = -Infinity;
  // Loops, because Math.max(...values) passes each value as an argument, and an engine's stack holds about 120,000.
  for (let index = 0; index < expected.length; index++) {
    const value = expected[index] ?? NaN;
    difference = Math.max(difference, Math.abs((found[index] ?? NaN) - value)); // Math.max passes NaN on
    smallest = Math.min(smallest, value);
    largest = Math.max(largest, value);
  }
  const spread = largest > smallest ? largest - smallest : Math.abs(largest);
  return { difference, spread, share: toShare(difference, spread) };
}

/** `difference / spread`; 0 where there is no difference, even if there is no spread (a layer of zeros yields zeros). */
export function toShare(difference: number, spread: number): number {
  return difference === 0 ? 0 : difference / spread;
}
