/**
 * Stage 7's second half: one prefill and one decode of the real model before it is called ready.
 *
 * In: a placed decoder. Out: {@link WarmUpResult}. Guarantees: the kernels of all paths are compiled, the first layer gives
 * what it gives on WebAssembly, the logits of a prompt that begins as a first one does are finite numbers, the kernels for long prompts, for short ones and for decoding
 * agree, the token loop (where the device has one) is captured and gives the same logits, the model's own test (where it
 * brings one) passes, and nothing of the warm-up stays in the KV cache.
 */
import { throwIfAborted } from '../../base/abort.ts';
import { compareValues } from '../../base/compare-values.ts';
import { LoadError } from '../../contract/errors.ts';
import type { AdapterInfo, LoadReport } from '../../contract/load.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { LayerComparison } from '../../runtime/gpu/compare-layers.ts';
import type { CachedDecoder } from '../sequences/cached-decoder.ts';
import { ALL_DTYPES } from '../plan/choose.ts';
import { needsFloat16 } from '../plan/encoding.ts';
import { chooseCheckedIds } from './checked-ids.ts';
import type { Fixture } from '../texts/fixture.ts';
import { checkFirstLayer, checkFixture } from './validate.ts';

/** Just long enough to take the kernels of long prompts (see `skeleton.ts`); in parts it takes those of short ones. */
const PREFILL_TOKENS = 32;

/** Share of the logits' spread by which two kernels may differ: those that sum in another order stay far below it. */
const TOLERANCE = 0.05;

/** Timings of the first prefill and the first decode, ms, and how far off the checks were. */
export type WarmUpResult = Omit<LoadReport['warmUp'], 'skeletonMs'>;

/** What warming up needs. */
export interface WarmUpRequest {
  readonly decoder: CachedDecoder;
  readonly plan: Pick<LoadPlan, 'sizes' | 'dtype' | 'dtypes'>;
  readonly adapter: AdapterInfo | null;
  readonly compareLayers: (signal: AbortSignal) => Promise<LayerComparison | null>;
  /** What a first prompt begins with. */
  readonly firstIds: () => Promise<readonly number[]>;
  /** Null where the model brings none. */
  readonly fixture: Fixture | null;
  readonly signal: AbortSignal;
  readonly onNotice: (message: string) => void;
}

/** @throws LoadError `output_mismatch`, `aborted`, `device_lost`, `out_of_memory`, `runtime_failed` */
export async function warmUp({
  decoder,
  plan,
  adapter,
  compareLayers,
  firstIds,
  fixture,
  signal,
  onNotice,
}: WarmUpRequest): Promise<WarmUpResult> {
  const { vocabSize } = plan.sizes;
  const prefillTokens = Math.min(PREFILL_TOKENS, decoder.contextTokens);
  try {
    const firstLayerDifference = checkFirstLayer(await compareLayers(signal), adapter);
    throwIfAborted(signal);
    const ids = chooseCheckedIds(await firstIds(), vocabSize, prefillTokens);
    throwIfAborted(signal);
    const startMs = performance.now();
    const prefillLogits = await decoder.logitsFor(ids, signal);
    const prefilledMs = performance.now();
    checkFinite(prefillLogits, plan);
    decoder.reset();
    // In parts: a short prompt, one that follows something, and the last token as a decode step.
    for (const end of [Math.ceil(prefillTokens / 4), prefillTokens - 1]) {
      if (end > 0) await decoder.logitsFor(ids.slice(0, end), signal);
    }
    const checkedMs = performance.now();
    const decodeLogits = await decoder.logitsFor(ids, signal);
    const decodedMs = performance.now();
    checkAgreement(prefillLogits, decodeLogits, plan);
    throwIfAborted(signal);
    const notice = await decoder.prepareTokenLoop(decodeLogits);
    if (notice !== null) onNotice(notice);
    decoder.reset();
    return {
      prefillTokens,
      prefillMs: prefilledMs - startMs,
      decodeMs: decodedMs - checkedMs,
      firstLayerDifference,
      // A context that was asked to be shorter than the test is no fault of the device.
      fixtureDifference:
        fixture && fixture.inputIds.length <= decoder.contextTokens
          ? await checkFixture(decoder, fixture, plan.dtype, adapter, signal)
          : null,
    };
  } finally {
    decoder.reset();
  }
}

/** A plan, for what may be taken instead. */
type CheckedPlan = WarmUpRequest['plan'];

/**
 * A prompt run at once and run in parts takes different kernels, which must come to the same logits. A driver or kernel that
 * computes rubbish on this device is found out here, not by whoever reads the answers.
 */
function checkAgreement(atOnce: Float32Array, inParts: Float32Array, plan: CheckedPlan): void {
  const { difference, spread, share } = compareValues(atOnce, inParts);
  if (share <= TOLERANCE) return;
  throw mismatch(
    `The same prompt gives logits that differ by ${difference.toPrecision(3)} (of a spread of ${spread.toPrecision(3)}) ` +
      'depending on the kernels that run it.',
    'Choose device "wasm", and report the adapter of this device.',
    { difference, spread },
    plan,
  );
}

function checkFinite(logits: Float32Array, plan: CheckedPlan): void {
  const { vocabSize } = plan.sizes;
  const bad = logits.findIndex((value) => !Number.isFinite(value));
  if (logits.length === vocabSize && bad < 0) return;
  throw mismatch(
    bad < 0
      ? `The model gave ${logits.length} logits for a vocabulary of ${vocabSize}.`
      : `Logit ${bad} of a first prompt is ${String(logits[bad])}.`,
    'The weights may hold values that are no numbers, or the driver computes rubbish: try another dtype or device "wasm".',
    { logitCount: logits.length, firstBadIndex: bad },
    plan,
  );
}

/** The error; in float16, which the values of some models leave, with the dtypes of the plan that compute in float32. */
function mismatch(
  finding: string,
  advice: string,
  detail: Readonly<Record<string, unknown>>,
  { dtype, dtypes }: CheckedPlan,
): LoadError {
  const available = ALL_DTYPES.filter((other) => !needsFloat16(other) && dtypes[other].obstacle === null);
  const narrow =
    `${dtype} computes in float16, which ends at 65,504, and the values of this model may pass that: ` +
    `${available.length > 0 ? `take ${available.join(', ')}` : 'no other dtype fits this device'}.`;
  return new LoadError('output_mismatch', {
    message: [finding, ...(needsFloat16(dtype) ? [narrow] : []), advice].join(' '),
    stage: 'warmUp',
    detail: { ...detail, finding, dtype, available },
  });
}
