/**
 * What a model keeps from run to run, so that a token is computed once: keys and values of attention, the last inputs of a
 * convolution, the state of a recurrence.
 */

/** One tensor of it: a graph input and the output that takes its place. */
export interface CacheSpec {
  readonly layer: number;
  /** `kv`: keys or values of each position. `conv`: the last inputs of a short convolution. `recurrent`: a sum over all positions. */
  readonly kind: 'kv' | 'conv' | 'recurrent';
  /** Name of the graph input. */
  readonly past: string;
  /** Name of the graph output, of the same type and dims. */
  readonly present: string;
  readonly type: 'float32' | 'float16';
  /** Null stands where the number of tokens goes. A state of fixed size has no such axis. */
  readonly dims: readonly (number | null)[];
  /** Positions that the layer looks back at, the newest included; null for all of them. */
  readonly windowTokens: number | null;
  /**
   * Whether it can be cut back to fewer tokens by forgetting the last ones. A state that has taken tokens up cannot: an
   * earlier one must have been kept as a copy.
   */
  readonly canRewind: boolean;
}
