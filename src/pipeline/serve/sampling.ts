/**
 * Choosing a token from logits: temperature, top-k, top-p, min-p, with a seeded generator.
 *
 * In: logits [vocabSize] after transformers.js's own processors (penalties, forced tokens). Out: a token id. Ours because
 * transformers.js 4.3 has neither top-p nor min-p, runs a session of its own for top-k, and draws from one generator for the whole page,
 * so that two conversations would disturb each other's seeds. The order of the steps is that of Hugging Face transformers:
 * temperature, then top-k, then top-p, then min-p, then one draw.
 */

/** How to choose. */
export interface SamplingSettings {
  /** > 0 */
  readonly temperature: number;
  /** 0 keeps all. */
  readonly topK: number;
  /** 0 < p ≤ 1 */
  readonly topP: number;
  /** Tokens less likely than this share of the likeliest one's probability are dropped; 0 keeps all. */
  readonly minP: number;
}

/** A token id drawn from `logits`, [vocabSize], of which -Infinity means never. `random` gives numbers in [0, 1). */
export function sampleToken(logits: Float32Array, settings: SamplingSettings, random: () => number): number {
  const candidates = pickTopK(logits, settings.topK);
  const best = logits[candidates[0] ?? 0] ?? 0;
  const weights = candidates.map((id) => Math.exp(((logits[id] ?? -Infinity) - best) / settings.temperature));
  const kept = countMinP(weights, countTopP(weights, settings.topP), settings.minP);
  let rest = random() * sum(weights, kept);
  for (let index = 0; index < kept; index++) {
    rest -= weights[index] ?? 0;
    if (rest < 0) return candidates[index] ?? 0;
  }
  return candidates[kept - 1] ?? 0; // rounding left a crumb
}

/** Ids of the k largest logits, best first; equal logits in order of id. All of them for k = 0. */
function pickTopK(logits: Float32Array, topK: number): number[] {
  const logitOf = (id: number): number => logits[id] ?? -Infinity;
  const byLogit = (a: number, b: number): number => logitOf(b) - logitOf(a) || a - b;
  const best: number[] = [];
  if (topK === 0 || topK >= logits.length) {
    for (let id = 0; id < logits.length; id++) if (logitOf(id) > -Infinity) best.push(id);
    return best.sort(byLogit);
  }
  // A full sort of a large vocabulary costs more than the rest of a step: a small sorted list and its worst logit do.
  let worst = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    if (logitOf(id) <= worst) continue;
    insertSorted(best, id, byLogit);
    if (best.length > topK) best.pop();
    if (best.length === topK) worst = logitOf(best[topK - 1] ?? 0);
  }
  return best;
}

function insertSorted(sorted: number[], item: number, compare: (a: number, b: number) => number): void {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (compare(sorted[middle] ?? 0, item) < 0) low = middle + 1;
    else high = middle;
  }
  sorted.splice(low, 0, item);
}

/** How many of the weights (best first) it takes to reach the share `topP`; at least one. */
function countTopP(weights: readonly number[], topP: number): number {
  if (topP >= 1) return weights.length;
  const wanted = topP * sum(weights, weights.length);
  let reached = 0;
  for (let count = 0; count < weights.length; count++) {
    reached += weights[count] ?? 0;
    if (reached >= wanted) return count + 1;
  }
  return weights.length;
}

/** How many of the first `count` weights (best first, and the best is 1) are at least `minP`; at least one. */
function countMinP(weights: readonly number[], count: number, minP: number): number {
  let kept = count;
  while (kept > 1 && (weights[kept - 1] ?? 0) < minP) kept--;
  return kept;
}

function sum(values: readonly number[], count: number): number {
  let total = 0;
  for (let index = 0; index < count; index++) total += values[index] ?? 0;
  return total;
}
