/**
 * The names under which a graph takes and gives what is no weight. They stand here once: the graph is built with them, and
 * whatever runs it binds by them.
 */
export const GRAPH_IO = {
  inputIds: 'input_ids', // int64 [1, S]
  seqlensK: 'seqlens_k', // int32 [1]: tokens in the sequence, new ones included, less one
  totalSequenceLength: 'total_sequence_length', // int32 [1]: tokens in the sequence, new ones included
  logits: 'logits', // float32 [1, vocab], of the last position
  hiddenStates: 'hidden_states', // float32 [S, hidden], into layers from the middle of a model
  hiddenStatesOut: 'hidden_states_out', // float32 [S, hidden]
} as const;

/** The name of what a layer keeps from run to run, as it goes in (`past`) and as it comes out (`present`). */
export function nameCache(layer: number, part: 'key' | 'value'): { readonly past: string; readonly present: string } {
  return { past: `past_key_values.${layer}.${part}`, present: `present.${layer}.${part}` };
}
