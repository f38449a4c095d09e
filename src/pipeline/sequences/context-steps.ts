/**
 * By how much a KV cache grows. Pure.
 *
 * Each growth copies the cache and records the decode step anew, so that steps double: a conversation of any length pays for
 * few of them. Where the device has no room for that, a step that lasts for a while is better than none.
 */

/** Growth that lasts for less than this share of what is needed is not worth its work. */
const LEAST_SPARE = 1 / 8;

/** Kernels work on tiles of so many positions. */
const TILE_TOKENS = 64;

/**
 * What to grow to, the best first: doubled as often as it takes to have an eighth to spare, else that eighth alone. Empty where
 * no growth can serve.
 */
export function listSteps(currentTokens: number, neededTokens: number, maxTokens: number): readonly number[] {
  if (neededTokens > maxTokens || neededTokens <= currentTokens) return [];
  const least = neededTokens * (1 + LEAST_SPARE);
  let doubled = currentTokens;
  while (doubled < least) doubled *= 2;
  const tiled = Math.ceil(least / TILE_TOKENS) * TILE_TOKENS;
  return [...new Set([Math.min(doubled, maxTokens), Math.min(doubled, tiled, maxTokens)])];
}
