/**
 * The WGSL kernels that choose the next token from logits, where the logits are.
 *
 * Out: source and names. They follow `pipeline/serve/sampling.ts`: penalty, temperature, top-k, top-p, one draw, over the
 * tokens sorted by logit (best first, equal ones by id). Nothing is sorted here: top-k, top-p and the draw each ask where in
 * that order a running sum (of tokens, or of weights) crosses a bound, and a radix descent finds the place: a histogram of
 * the next 8 bits of the sort key, one bin of it chosen, four times; the draw then descends over the ids of equal tokens.
 *
 * The ways there, by vocabulary and top-k:
 *   greedy              findBest, takeBest, commit
 *   few tokens          findBest, finish: all of the descents in one workgroup
 *   many, small top-k   findBest, findThreshold, gather, finish: over those that reach the k-th best of the threads' best
 *   many, otherwise     findBest, (histogram, descend) a level, commit: every level by all workgroups
 *
 * Weights are exp((score - best) / temperature) as whole numbers of 2^-45, summed in 64 bits (vec2: low, high). Whole
 * numbers, because their sums do not depend on the order in which a GPU's threads arrive: the same seed gives the same
 * token every time. WebGPU has neither 64-bit integers nor atomics on floats.
 */
import { MAX_FORBIDDEN_IDS } from '../decoder.ts';

/** Threads of a workgroup, and bins of a histogram: both are what 8 bits of a key make. */
export const THREADS = 256;

/** Ids that one thread looks at, where the vocabulary is large enough. */
export const IDS_PER_THREAD = 16;

/** Up to so many tokens, one workgroup is faster than the launch of many kernels. */
export const FEW_IDS = 4096;

/** The largest top-k whose tokens are gathered first. The list takes more, because equal scores all reach the threshold. */
export const MAX_LISTED_TOP_K = 1024;
export const LIST_IDS = 4096;

/** Levels of the descent over a score's 32 bits. */
export const KEY_LEVELS = 4;

/** What a descent looks for; where the first one begins is a parameter. */
export const PHASE = { topK: 0, topP: 1, draw: 2 } as const;

/** Bytes of the uniform `Params`, of `State`, and of the histogram. */
export const PARAMS_BYTES = 48 + MAX_FORBIDDEN_IDS * 4;
export const STATE_BYTES = 80;
export const HISTOGRAM_BYTES = 3 * THREADS * 4;

/** Entry points of the source. */
export const ENTRY_POINTS = [
  'findBest',
  'takeBest',
  'findThreshold',
  'gather',
  'finish',
  'histogram',
  'descend',
  'commit',
] as const;

export const TOKEN_KERNELS = /* wgsl */ `
struct Params {
  vocabSize: u32,
  position: u32, // of the token to be chosen
  repetitionPenalty: f32,
  temperature: f32,
  topK: u32,
  topPShare: u32, // of 2^32; 0: all
  drawShare: u32, // of 2^32
  firstPhase: u32,
  levelCount: u32, // of a draw: of the key, then of the id
  forbiddenCount: u32,
  threadCount: u32, // of the kernels that look at every id
  listed: u32, // whether the tokens to choose from are gathered
  forbidden: array<vec4<u32>, ${MAX_FORBIDDEN_IDS / 4}>,
}

struct State {
  chosen: u32, // read back
  best: atomic<u32>, // largest key
  token: atomic<u32>,
  phase: u32,
  level: u32,
  rank: u32, // the bits of the rank that are known
  id: u32, // the bits of the id that are known
  count: u32, // tokens before them in the order
  before: vec2<u32>, // their weight
  limit: vec2<u32>, // weight of the tokens that are kept
  goal: vec2<u32>, // the weight that is looked for
  tie: u32, // which of several equal tokens
  threshold: u32, // the key that listed tokens reach
  listLength: atomic<u32>, // beyond LIST_IDS: the list is of no use
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<u32>; // bits: a compiler may assume that floats are never NaN
@group(0) @binding(2) var<storage, read_write> seen: array<u32>; // one bit an id
@group(0) @binding(3) var<storage, read_write> bins: array<atomic<u32>>; // counts, low and high halves of weights
@group(0) @binding(4) var<storage, read_write> state: State;
@group(0) @binding(5) var<storage, read_write> inputIds: array<u32>; // int64 [1, 1]
@group(0) @binding(6) var<storage, read_write> seqlensK: array<u32>; // int32 [1]
@group(0) @binding(7) var<storage, read_write> totalLength: array<u32>; // int32 [1]
@group(0) @binding(8) var<storage, read_write> scratch: array<u32>; // each thread's best key, then the listed ids

const NOTHING = 0xffffffffu;
const NO_KEY = 0u; // of a token that can never be chosen
const NO_PHASE = 3u;
const BINS = ${THREADS}u;
const LIST_IDS = ${LIST_IDS}u;
const KEY_LEVELS = ${KEY_LEVELS}u;
const ONE = 8192.0; // the weight 1 in units of the high half: 2^45 = 2^13 · 2^32

var<workgroup> groupBest: atomic<u32>;
var<workgroup> groupBins: array<atomic<u32>, ${3 * THREADS}>;
var<workgroup> counts: array<u32, ${THREADS}>;
var<workgroup> weights: array<vec2<u32>, ${THREADS}>;
var<workgroup> known: Known;

/** What all threads of one workgroup have to know of the state. */
struct Known {
  level: u32,
  rank: u32,
  id: u32,
  done: u32,
}

fn add64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = a.x + b.x;
  return vec2(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn less64(a: vec2<u32>, b: vec2<u32>) -> bool {
  return a.y < b.y || (a.y == b.y && a.x < b.x);
}

fn multiply32(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return vec2((other << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u));
}

fn times(a: vec2<u32>, count: u32) -> vec2<u32> {
  let low = multiply32(a.x, count);
  return vec2(low.x, low.y + a.y * count);
}

/** a · share / 2^32 */
fn shareOf(a: vec2<u32>, share: u32) -> vec2<u32> {
  return add64(multiply32(a.y, share), vec2(multiply32(a.x, share).y, 0u));
}

/** A number that grows with the token's score; NO_KEY for NaN, -Infinity and forbidden ids. */
fn keyOf(id: u32) -> u32 {
  var bits = logits[id];
  if ((bits & 0x7fffffffu) > 0x7f800000u || bits == 0xff800000u) { return NO_KEY; }
  for (var index = 0u; index < params.forbiddenCount; index++) {
    if (params.forbidden[index / 4u][index % 4u] == id) { return NO_KEY; }
  }
  if (params.repetitionPenalty != 1.0 && ((seen[id / 32u] >> (id % 32u)) & 1u) == 1u) {
    let logit = bitcast<f32>(bits);
    bits = bitcast<u32>(select(logit / params.repetitionPenalty, logit * params.repetitionPenalty, logit < 0.0));
  }
  if (bits == 0x80000000u) { bits = 0u; } // -0 equals 0
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn scoreOf(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key >> 31u) == 1u));
}

fn weightOf(key: u32, best: u32) -> vec2<u32> {
  if (key == best) { return vec2(0u, u32(ONE)); }
  let share = exp(max((scoreOf(key) - scoreOf(best)) / params.temperature, -100.0)) * ONE;
  let high = floor(share);
  return vec2(u32((share - high) * 4294967296.0), u32(high));
}

@compute @workgroup_size(${THREADS})
fn findBest(@builtin(global_invocation_id) thread: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  var best = NO_KEY;
  for (var id = thread.x; id < params.vocabSize; id += params.threadCount) { best = max(best, keyOf(id)); }
  scratch[thread.x] = best;
  atomicMax(&groupBest, best);
  workgroupBarrier();
  if (local == 0u) { atomicMax(&state.best, atomicLoad(&groupBest)); }
}

/** Greedy: the best token, of equal ones that with the lowest id. */
@compute @workgroup_size(${THREADS})
fn takeBest(@builtin(global_invocation_id) thread: vec3<u32>) {
  let best = atomicLoad(&state.best);
  for (var id = thread.x; id < params.vocabSize; id += params.threadCount) {
    if (keyOf(id) == best) { atomicMin(&state.token, id); }
  }
}

/** Counts and weighs a token in its bin, if the bits that are known so far are its own. */
fn countToken(key: u32, id: u32, level: u32, knownRank: u32, knownId: u32, best: u32) {
  if (key == NO_KEY) { return; }
  let rank = ~key; // the best token has the smallest
  var bin = 0u;
  if (level < KEY_LEVELS) {
    let shift = 8u * (KEY_LEVELS - 1u - level);
    if (level > 0u && (rank >> (shift + 8u)) != knownRank) { return; }
    bin = (rank >> shift) & 255u;
  } else {
    let shift = 8u * (params.levelCount - 1u - level);
    if (rank != knownRank) { return; }
    if (level > KEY_LEVELS && (id >> (shift + 8u)) != knownId) { return; }
    bin = (id >> shift) & 255u;
  }
  let weight = weightOf(key, best);
  atomicAdd(&groupBins[bin], 1u);
  let low = atomicAdd(&groupBins[BINS + bin], weight.x);
  atomicAdd(&groupBins[2u * BINS + bin], weight.y + select(0u, 1u, low + weight.x < low));
}

/** One level of a descent, by all workgroups. */
@compute @workgroup_size(${THREADS})
fn histogram(@builtin(global_invocation_id) thread: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let level = state.level;
  let best = atomicLoad(&state.best);
  for (var id = thread.x; id < params.vocabSize; id += params.threadCount) {
    countToken(keyOf(id), id, level, state.rank, state.id, best);
  }
  workgroupBarrier();
  let count = atomicLoad(&groupBins[local]);
  if (count == 0u) { return; }
  atomicAdd(&bins[local], count);
  let weight = atomicLoad(&groupBins[BINS + local]);
  let low = atomicAdd(&bins[BINS + local], weight);
  atomicAdd(&bins[2u * BINS + local], atomicLoad(&groupBins[2u * BINS + local]) + select(0u, 1u, low + weight < low));
}

/** All levels of all descents, by one workgroup, over the tokens or the list of them. */
@compute @workgroup_size(${THREADS})
fn finish(@builtin(local_invocation_index) local: u32) {
  let listLength = atomicLoad(&state.listLength);
  let listed = params.listed == 1u && listLength <= LIST_IDS;
  let count = select(params.vocabSize, listLength, listed);
  let best = atomicLoad(&state.best);
  loop {
    clearBins(local);
    let now = workgroupUniformLoad(&known);
    for (var index = local; index < count; index += BINS) {
      var id = index;
      if (listed) { id = scratch[params.threadCount + index]; }
      countToken(keyOf(id), id, now.level, now.rank, now.id, best);
    }
    takeBins(local);
    if (local == 0u) {
      chooseBin();
      known = Known(state.level, state.rank, state.id, select(0u, 1u, state.level == params.levelCount));
    }
    if (workgroupUniformLoad(&known).done == 1u) { break; }
  }
  if (local == 0u) { commitToken(); }
}

/** The k-th largest of the threads' best keys: at least k tokens reach it, and seldom many more. */
@compute @workgroup_size(${THREADS})
fn findThreshold(@builtin(local_invocation_index) local: u32) {
  var count = 0u; // of larger keys, in thread 0
  loop {
    clearBins(local);
    let now = workgroupUniformLoad(&known);
    for (var index = local; index < params.threadCount; index += BINS) {
      let key = scratch[index];
      let shift = 8u * (KEY_LEVELS - 1u - now.level);
      if (key == NO_KEY || (now.level > 0u && (~key >> (shift + 8u)) != now.rank)) { continue; }
      atomicAdd(&groupBins[(~key >> shift) & 255u], 1u);
    }
    takeBins(local);
    if (local == 0u) {
      var bin = 0u;
      while (bin < BINS && count + counts[bin] < params.topK) {
        count += counts[bin];
        bin += 1u;
      }
      let short = bin == BINS; // fewer than k threads have a best: every token reaches the threshold
      known = Known(now.level + 1u, (now.rank << 8u) | bin, 0u, select(0u, 1u, short || now.level + 1u == KEY_LEVELS));
      if (known.done == 1u) { state.threshold = select(~known.rank, NO_KEY + 1u, short); }
    }
    if (workgroupUniformLoad(&known).done == 1u) { break; }
  }
}

/** Lists the tokens that reach the threshold, in any order. */
@compute @workgroup_size(${THREADS})
fn gather(@builtin(global_invocation_id) thread: vec3<u32>) {
  let threshold = state.threshold;
  if (scratch[thread.x] < threshold) { return; }
  for (var id = thread.x; id < params.vocabSize; id += params.threadCount) {
    if (keyOf(id) < threshold) { continue; }
    let index = atomicAdd(&state.listLength, 1u);
    if (index < LIST_IDS) { scratch[params.threadCount + index] = id; }
  }
}

fn clearBins(local: u32) {
  for (var part = 0u; part < 3u; part++) { atomicStore(&groupBins[part * BINS + local], 0u); }
  workgroupBarrier();
}

fn takeBins(local: u32) {
  workgroupBarrier();
  counts[local] = atomicLoad(&groupBins[local]);
  weights[local] = vec2(atomicLoad(&groupBins[BINS + local]), atomicLoad(&groupBins[2u * BINS + local]));
  workgroupBarrier();
}

/** Chooses the bin in which the sum crosses its bound, and empties the histogram for the next level. */
@compute @workgroup_size(${THREADS})
fn descend(@builtin(local_invocation_index) bin: u32) {
  counts[bin] = atomicExchange(&bins[bin], 0u);
  weights[bin] = vec2(atomicExchange(&bins[BINS + bin], 0u), atomicExchange(&bins[2u * BINS + bin], 0u));
  workgroupBarrier();
  if (bin == 0u) { chooseBin(); }
}

fn chooseBin() {
  if (state.level == 0u) { beginDescent(); }
  var bin = 0u;
  var count = state.count;
  var before = state.before;
  for (var next = 0u; next < BINS; next++) {
    if (counts[next] == 0u) { continue; }
    // The last bin with anything in it, should rounding let none cross.
    bin = next;
    state.count = count;
    state.before = before;
    count += counts[next];
    before = add64(before, weights[next]);
    if (crosses(count, before)) { break; }
  }
  if (state.level < KEY_LEVELS) { state.rank = (state.rank << 8u) | bin; } else { state.id = (state.id << 8u) | bin; }
  state.level += 1u;
  if (state.level == KEY_LEVELS) { endKey(counts[bin], weights[bin]); }
  else if (state.level == params.levelCount) { atomicStore(&state.token, state.id); }
}

fn beginDescent() {
  if (state.phase == NO_PHASE) {
    state.phase = params.firstPhase;
    var total = vec2(0u, 0u);
    for (var bin = 0u; bin < BINS; bin++) { total = add64(total, weights[bin]); }
    state.limit = total;
  }
  state.rank = 0u;
  state.count = 0u;
  state.before = vec2(0u, 0u);
  state.goal = shareOf(state.limit, select(params.drawShare, params.topPShare, state.phase == ${PHASE.topP}u));
}

fn crosses(count: u32, weight: vec2<u32>) -> bool {
  if (state.level >= KEY_LEVELS) { return count > state.tie; }
  if (state.phase == ${PHASE.topK}u) { return count >= params.topK; }
  if (state.phase == ${PHASE.topP}u) { return !less64(weight, state.goal); }
  return less64(state.goal, weight);
}

/** All bits of the score are known; \`count\` tokens have it, and \`weight\` together. */
fn endKey(count: u32, weight: vec2<u32>) {
  let each = weightOf(~state.rank, atomicLoad(&state.best));
  if (state.phase == ${PHASE.draw}u) {
    // How many of the equal tokens lie wholly before the goal.
    var low = 0u;
    var high = count - 1u;
    while (low < high) {
      let middle = (low + high + 1u) / 2u;
      if (less64(state.goal, add64(state.before, times(each, middle)))) { high = middle - 1u; } else { low = middle; }
    }
    state.tie = low;
    state.count = 0u;
    state.id = 0u;
    return;
  }
  var kept = clamp(params.topK - state.count, 1u, count);
  if (state.phase == ${PHASE.topP}u) {
    var low = 1u;
    var high = count;
    while (low < high) {
      let middle = (low + high) / 2u;
      if (less64(add64(state.before, times(each, middle)), state.goal)) { low = middle + 1u; } else { high = middle; }
    }
    kept = low;
  }
  if (kept == count) { state.limit = add64(state.before, weight); }
  else { state.limit = add64(state.before, times(each, kept)); }
  state.phase = select(${PHASE.draw}u, ${PHASE.topP}u, state.phase == ${PHASE.topK}u && params.topPShare != 0u);
  state.level = 0u;
}

/** Makes the chosen token the next run's input, and this state ready for the next choice. */
@compute @workgroup_size(1)
fn commit() { commitToken(); }

fn commitToken() {
  var token = atomicLoad(&state.token);
  if (token >= params.vocabSize) { token = 0u; } // no token had a number for a logit
  inputIds[0] = token;
  inputIds[1] = 0u;
  seqlensK[0] = params.position;
  totalLength[0] = params.position + 1u;
  seen[token / 32u] |= 1u << (token % 32u);
  state.chosen = token;
  atomicStore(&state.best, NO_KEY);
  atomicStore(&state.token, NOTHING);
  atomicStore(&state.listLength, 0u);
  state.phase = NO_PHASE;
  state.level = 0u;
}
`;
