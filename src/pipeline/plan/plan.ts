/**
 * Stage 2, plan: a snapshot → the complete {@link LoadPlan}, from a few kilobytes.
 *
 * In: a pinned snapshot, the request, the adapter, and two readers for small files and header ranges.
 * Out: every byte that will be read, what it becomes and where it goes, and what all that costs.
 * Guarantees: no weight byte is read; what cannot be loaded fails here, naming everything that is wrong; besides the two
 * readers, everything is pure.
 */
import { throwIfAborted } from '../../base/abort.ts';
import type { WeightSpec } from '../../blueprints/blueprint.ts';
import { findBlueprint } from '../../blueprints/registry.ts';
import type { FileStatus } from '../../contract/cache.ts';
import type { AdapterInfo, LoadRequest } from '../../contract/load.ts';
import type { DecoderShape, Dtype, LoadPlan } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { chooseContextTokens, chooseDevice, chooseDtype, type DtypeCost } from './choose.ts';
import { readDeviceLimits } from './device-limits.ts';
import { chooseKvType, layOutWeight, listBufferBytes, sumWeightBytes } from './encoding.ts';
import { matchTensors } from './match-tensors.ts';
import { type ReadAll, readConfigs } from './read-config.ts';
import { readTensorTable, type ReadRange } from './read-headers.ts';

/** What {@link planLoad} needs. */
export interface PlanInput {
  readonly snapshot: Snapshot;
  readonly request: Pick<LoadRequest, 'dtype' | 'device' | 'contextTokens'>;
  /** Null where the browser has no WebGPU adapter. */
  readonly adapter: AdapterInfo | null;
  readonly readAll: ReadAll;
  readonly readRange: ReadRange;
  /** What the cache holds of these files; left out, nothing. */
  readonly status?: (paths: readonly string[]) => Promise<readonly FileStatus[]>;
  readonly signal?: AbortSignal | undefined;
}

const DTYPES: readonly Dtype[] = ['fp32', 'fp16', 'q8', 'q4', 'q4f16'];

/**
 * Plans a load.
 * @throws LoadError `file_not_found`, `config_invalid`, `unsupported_architecture`, `no_safetensors`, `safetensors_invalid`,
 * `tensor_missing`, `tensor_shape_mismatch`, `unsupported_dtype`, `no_adapter`, `does_not_fit`, `invalid_argument`, `aborted`,
 * and what the readers throw
 */
export async function planLoad(input: PlanInput): Promise<LoadPlan> {
  const { snapshot, request, signal } = input;
  throwIfAborted(signal);
  const limits = readDeviceLimits(input.adapter);
  const device = chooseDevice(request.device, limits);
  const gpuLimits = device.value === 'webgpu' ? limits : null;

  const { config } = await readConfigs(snapshot, input.readAll);
  throwIfAborted(signal);
  const blueprint = findBlueprint(config);
  const shape = blueprint.readShape(config);
  const table = await readTensorTable(snapshot, input.readAll, input.readRange, signal);
  throwIfAborted(signal);

  // Sized for float32: float16 would allow twice the tokens, which nobody asks of one buffer.
  const layerKeyBytes = shape.kvHeadCount * shape.headDim * 4;
  const contextTokens = chooseContextTokens(request.contextTokens, shape.maxContextTokens, layerKeyBytes, gpuLimits);
  const specs = blueprint.listWeights(shape, contextTokens);
  const { sources, unused } = matchTensors(specs, table, shape);
  const dtype = chooseDtype(request.dtype, device.value, gpuLimits, (candidate) =>
    costOfDtype(specs, shape, contextTokens, candidate),
  );

  const layouts = specs.map((spec) => ({ spec, layout: layOutWeight(spec, dtype.value) }));
  const weightFiles = listNeededFiles(snapshot, [...sources.values()].flat());
  const statuses = (await input.status?.(weightFiles.map(({ path }) => path))) ?? [];
  throwIfAborted(signal);
  const kvBytesPerToken = countKvBytesPerToken(shape, dtype.value);
  return {
    modelId: snapshot.modelId,
    revision: snapshot.revision,
    commit: snapshot.commit,
    shape,
    dtype: dtype.value,
    dtypeReason: dtype.reason,
    device: device.value,
    deviceReason: device.reason,
    contextTokens,
    kvType: chooseKvType(dtype.value),
    weightFiles,
    weights: layouts.map(({ spec, layout }) => ({
      name: spec.name,
      rows: spec.rows,
      cols: spec.cols,
      encoding: layout.encoding,
      sources: sources.get(spec.name) ?? [],
      buffers: layout.buffers,
      computed: spec.computed,
    })),
    graphTensors: layouts.flatMap(({ layout }) => layout.graphTensors),
    unusedTensors: unused,
    costs: {
      parameterCount: countParameters(specs),
      downloadBytes: weightFiles.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      cachedBytes: statuses.reduce((sum, { cachedBytes }) => sum + cachedBytes, 0),
      weightBytes: sumWeightBytes(specs, dtype.value),
      kvBytesPerToken,
      kvCacheBytes: kvBytesPerToken * contextTokens,
      weightBytesByDtype: Object.fromEntries(
        DTYPES.map((candidate) => [candidate, sumWeightBytes(specs, candidate)]),
      ) as Record<Dtype, number>,
    },
  };
}

function costOfDtype(
  specs: readonly WeightSpec[],
  shape: DecoderShape,
  contextTokens: number,
  dtype: Dtype,
): DtypeCost {
  const bufferBytes = listBufferBytes(specs, dtype);
  return {
    weightBytes: bufferBytes.reduce((sum, sizeBytes) => sum + sizeBytes, 0),
    largestBufferBytes: bufferBytes.reduce((largest, sizeBytes) => Math.max(largest, sizeBytes), 0),
    kvCacheBytes: countKvBytesPerToken(shape, dtype) * contextTokens,
  };
}

function countKvBytesPerToken({ layerCount, kvHeadCount, headDim }: DecoderShape, dtype: Dtype): number {
  return 2 * layerCount * kvHeadCount * headDim * (chooseKvType(dtype) === 'float16' ? 2 : 4); // keys and values
}

/** What the checkpoint holds: computed tables are no parameters, and a tied embedding counts once. */
function countParameters(specs: readonly WeightSpec[]): number {
  return specs
    .flatMap((spec) => spec.sources)
    .reduce((sum, { shape }) => sum + shape.reduce((product, dim) => product * dim, 1), 0);
}

/** The files that hold at least one needed tensor, by path: shards are numbered in the order of their tensors. */
function listNeededFiles(snapshot: Snapshot, sources: readonly { readonly file: string }[]): LoadPlan['weightFiles'] {
  const needed = new Set(sources.map(({ file }) => file));
  return snapshot.files
    .filter(({ path }) => needed.has(path))
    .map(({ path, sizeBytes }) => ({ path, sizeBytes }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
