/**
 * Whether a placed model computes what it should, before it is called ready.
 *
 * In: the model, and what it is to be compared with. Out: how far apart they are. Guarantees: what is further apart than
 * rounding explains ends the load with `output_mismatch`, which names the device; comparisons are written so that NaN fails.
 */
import { compareValues, toShare } from '../../base/compare-values.ts';
import { LoadError } from '../../contract/errors.ts';
import type { AdapterInfo } from '../../contract/load.ts';
import type { Dtype } from '../../contract/plan.ts';
import type { LayerComparison } from '../../runtime/gpu/compare-layers.ts';
import type { CachedDecoder } from '../sequences/cached-decoder.ts';
import type { Fixture } from '../texts/fixture.ts';

/** Share of the largest value. Both sides sum in float32, in different orders: they come within a ten-thousandth. */
const LAYER_TOLERANCE = 0.01;

/**
 * Share of the spread of the fixture's logits, by what the dtype's rounding does to small models (the KL divergences that the
 * tests measure), with room: a wrong weight or kernel is off by all of the spread.
 */
const FIXTURE_TOLERANCE: Readonly<Record<Dtype, number>> = { fp32: 0.01, fp16: 0.03, q8: 0.05, q4: 0.3, q4f16: 0.3 };

/** Yields the difference as a share, or null where nothing was compared. @throws LoadError `output_mismatch` */
export function checkFirstLayer(comparison: LayerComparison | null, adapter: AdapterInfo | null): number | null {
  if (comparison === null) return null;
  const share = toShare(comparison.difference, comparison.spread);
  if (share <= LAYER_TOLERANCE) return share;
  throw new LoadError('output_mismatch', {
    message:
      `The first layer on ${nameDevice(adapter)} differs from the same layer on WebAssembly by ${share.toPrecision(3)} of its ` +
      'largest value: the GPU or its driver computes wrong values. Choose device "wasm", and report this device.',
    stage: 'warmUp',
    detail: { ...comparison, adapter: adapter === null ? null : nameDevice(adapter) },
  });
}

/** Yields the largest difference as a share. @throws LoadError `output_mismatch`, and what running throws */
export async function checkFixture(
  decoder: CachedDecoder,
  { inputIds, logits }: Fixture,
  dtype: Dtype,
  adapter: AdapterInfo | null,
  signal: AbortSignal,
): Promise<number> {
  const found = await decoder.logitsFor(inputIds, signal);
  const { difference, spread, share } = compareValues(
    logits.map(([, value]) => value),
    logits.map(([id]) => found[id] ?? NaN),
  );
  if (share <= FIXTURE_TOLERANCE[dtype]) return share;
  const finding =
    `The prompt that the model brings as a test gives logits that are off by ${share.toPrecision(3)} of their spread, ` +
    `on ${nameDevice(adapter)} in ${dtype}.`;
  throw new LoadError('output_mismatch', {
    message: `${finding} Choose device "wasm" or another dtype, and report this device.`,
    stage: 'warmUp',
    detail: { difference, spread, finding, dtype },
  });
}

function nameDevice(adapter: AdapterInfo | null): string {
  if (adapter === null) return 'WebAssembly';
  const { vendor, architecture, description } = adapter;
  return description || [vendor, architecture].filter(Boolean).join(' ') || 'this GPU';
}
