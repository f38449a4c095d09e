/** Numbers of several rounds → one number. Pure. */

/** The middle one; of an even count, the mean of the two in the middle. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = NaN, high = NaN] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  return (low + high) / 2;
}

/** Three digits are more than a benchmark knows. */
export function round(value: number): number {
  return Number(value.toPrecision(3));
}
