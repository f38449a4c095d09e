/**
 * Stage 2, plan: a snapshot → the complete {@link LoadPlan}, from a few kilobytes.
 *
 * In: a pinned snapshot, the request, the adapter, and two readers for small files and header ranges.
 * Out: every byte that will be read, what it becomes and where it goes, and what all that costs.
 * Guarantees: no weight byte is read, but for a few kilobytes where a checkpoint may contradict config.json (`tied-head.ts`);
 * what cannot be loaded fails here, naming everything that is wrong; besides the two readers, everything is pure.
 */
import { throwIfAborted } from '../../base/abort.ts';
import type { Blueprint, WeightSpec } from '../../blueprints/blueprint.ts';
import { claimsToWriteText } from '../../blueprints/config/model-kind.ts';
import { findBlueprint } from '../../blueprints/registry.ts';
import type { FileStatus } from '../../contract/cache.ts';
import type { DecoderSpec } from '../../contract/decoder-spec.ts';
import type { AdapterInfo, LoadRequest } from '../../contract/load.ts';
import type { Device, Dtype, LoadPlan, PlannedStorage, PlannedWeight, TensorSource } from '../../contract/plan.ts';
import type { Snapshot } from '../../contract/snapshot.ts';
import { type Choice, chooseConversations } from './choose-context.ts';
import { ALL_DTYPES, chooseDevice, chooseDtype, chooseOtherDevice, type DtypeQuestion } from './choose.ts';
import { type DeviceLimits, readDeviceLimits } from './device-limits.ts';
import { chooseActivationType, type WeightLayout } from './encoding.ts';
import { refuseQuantized } from '../../formats/repository/quantized-config.ts';
import { findVocabulary } from '../../formats/repository/text-files.ts';
import { chooseTokenizer } from './choose-tokenizer.ts';
import { findMemoryCeiling, type PlatformFacts } from './memory-ceiling.ts';
import { matchTensors, refuseOtherHead } from './match-tensors.ts';
import { type ReadAll, readConfig } from './read-config.ts';
import { readTensorTable, type ReadRange } from './read-headers.ts';
import { refuseOtherKinds } from './repository-kind.ts';
import { type ModelSizing, sizeModel, type SizingInput, toDtypeFit, toPlannedLimits } from './size-model.ts';
import { cutSources } from './split-rows.ts';
import { usualStorage } from '../resolve/storage.ts';
import { settleTying } from './tied-head.ts';

/** What {@link planLoad} needs. */
export interface PlanInput {
  readonly snapshot: Snapshot;
  readonly request: Pick<LoadRequest, 'dtype' | 'device' | 'contextTokens'> &
    Partial<Pick<LoadRequest, 'simulatedLimits' | 'conversations' | 'tokenizer'>>;
  /** Null where the browser has no WebGPU adapter. */
  readonly adapter: AdapterInfo | null;
  /** Why there is no adapter, in a sentence. */
  readonly adapterAbsence?: string | null;
  /** What the browser says about the device; left out, no ceiling of memory is known. */
  readonly platform?: PlatformFacts;
  /**
   * What a load saw that found this model to give wrong values in float16 on this adapter: then 'auto' takes no dtype that
   * computes in float16. What is asked for by name is taken all the same.
   */
  readonly float16Finding?: string | null;
  readonly readAll: ReadAll;
  readonly readRange: ReadRange;
  /** Where the files of such a load will lie, and what is there of them; left out, as usual for the snapshot's source, and nothing. */
  readonly lookAtStorage?: (plan: Pick<LoadPlan, 'weightFiles' | 'tokenizer'>) => Promise<StorageView>;
  readonly signal?: AbortSignal | undefined;
}

/** One answer, because asking is a round trip; and because where the files will lie decides what of the cache counts. */
export interface StorageView {
  readonly storage: PlannedStorage;
  /** Of the weight files at least. */
  readonly statuses: readonly FileStatus[];
}

/**
 * Plans a load.
 * @throws LoadError `adapter_repository`, `unsupported_format`, `lfs_pointer`, `file_not_found`, `config_invalid`,
 * `unsupported_architecture`, `no_safetensors`, `safetensors_invalid`, `tensor_missing`, `tensor_shape_mismatch`,
 * `tokenizer_unsupported`, `unsupported_dtype`, `no_adapter`, `does_not_fit`, `invalid_argument`, `aborted`, and what the readers
 * throw
 */
export async function planLoad(input: PlanInput): Promise<LoadPlan> {
  const { snapshot, request, signal } = input;
  throwIfAborted(signal);
  const limits = readDeviceLimits(input.adapter, request.simulatedLimits);
  const requestedDevice = chooseDevice(request.device, limits, input.adapterAbsence);

  await refuseOtherKinds(snapshot, input.readAll);
  throwIfAborted(signal);

  // At once, because it is round trips that take the time; but what is wrong with the config is said first.
  const failed = new AbortController();
  const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  const readingTable = readTensorTable(snapshot, input.readAll, input.readRange, either);
  readingTable.catch(() => undefined);
  const {
    config,
    blueprint,
    spec: statedSpec,
  } = await readSpec(input).catch((error: unknown) => {
    failed.abort(error);
    throw error;
  });
  throwIfAborted(signal);
  const table = await readingTable;
  if (!claimsToWriteText(config)) refuseOtherHead(table);
  throwIfAborted(signal);
  const statedSpecs = blueprint.listWeights(statedSpec, 1);
  const { spec, notices } = await settleTying(statedSpec, statedSpecs, table, input.readRange, signal);
  throwIfAborted(signal);

  const tokenizer = chooseTokenizer(snapshot, request.tokenizer ?? 'auto');

  const conversations = chooseConversations(request.conversations ?? null);
  const sizings = createSizings({
    spec,
    listWeights: (...args) => blueprint.listWeights(...args),
    listCaches: (...args) => blueprint.listCaches(...args),
    requestedContext: request.contextTokens,
    limits,
    conversations,
    ceiling: input.platform ? findMemoryCeiling(input.platform) : null,
    float16Finding: request.dtype === 'auto' ? (input.float16Finding ?? null) : null,
  });
  const { sources, unused } = matchTensors(blueprint.listWeights(spec, 1), table, spec);
  const device =
    request.device === 'auto' ? fallBack(requestedDevice, request.dtype, limits, sizings) : requestedDevice;
  const here = (dtype: Dtype): ModelSizing => sizings(device.value, dtype);
  const dtype = chooseDtype({
    requested: request.dtype,
    device: device.value,
    sizeOf: here,
    elsewhere: findElsewhere(device.value, limits, sizings),
  });
  const sizing = here(dtype.value);

  const weightFiles = listNeededFiles(snapshot, [...sources.values()].flat());
  const { storage, statuses } = (await input.lookAtStorage?.({ weightFiles, tokenizer: tokenizer.value })) ?? {
    storage: usualStorage(snapshot),
    statuses: [],
  };
  throwIfAborted(signal);
  const weightPaths = new Set(weightFiles.map(({ path }) => path));
  const downloadBytes = weightFiles.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return {
    modelId: snapshot.modelId,
    revision: snapshot.revision,
    commit: snapshot.commit,
    spec,
    sizes: { vocabSize: spec.vocabSize, hiddenSize: spec.hiddenSize },
    dtype: dtype.value,
    dtypeReason: dtype.reason,
    device: device.value,
    deviceReason: device.reason,
    limits: toPlannedLimits(device.value, limits),
    contextTokens: sizing.context.value,
    maxContextTokens: sizing.maxContextTokens,
    contextReason: sizing.context.reason,
    longestContextTokens: sizing.longestContextTokens,
    conversations,
    stateSnapshots: sizing.stateSnapshots,
    activationType: chooseActivationType(dtype.value),
    caches: sizing.caches,
    tokenizer: tokenizer.value,
    tokenizerReason: tokenizer.reason,
    weightFiles,
    storage,
    weights: sizing.weights.flatMap(({ spec, layouts }) =>
      layouts.map((layout) => toPlannedWeight(spec, layout, sources.get(spec.name) ?? [])),
    ),
    unusedTensors: unused,
    notices,
    costs: {
      parameterCount: sizing.parameterCount,
      downloadBytes,
      cachedBytes: statuses.reduce(
        (sum, { path, cachedBytes }) => (weightPaths.has(path) ? sum + cachedBytes : sum),
        0,
      ),
      diskBytes: storage.kind === 'cache' ? downloadBytes : 0,
      weightBytes: sizing.weightBytes,
      scaleBytes: sizing.scaleBytes,
      kvBytesPerToken: sizing.kvBytesPerToken,
      kvCacheBytes: sizing.kvCacheBytes,
      stateSnapshotBytes: sizing.stateSnapshotBytes,
      activationBytes: sizing.activationBytes,
      deviceBytes: sizing.deviceBytes,
    },
    dtypes: Object.fromEntries(
      ALL_DTYPES.map((candidate) => [candidate, toDtypeFit(here(candidate))]),
    ) as LoadPlan['dtypes'],
  };
}

async function readSpec({ snapshot, request, readAll }: PlanInput): Promise<{
  readonly config: Readonly<Record<string, unknown>>;
  readonly blueprint: Blueprint;
  readonly spec: DecoderSpec;
}> {
  const tokenizer = request.tokenizer === 'none' ? null : findVocabulary(snapshot);
  const config = await readConfig(snapshot, readAll, tokenizer);
  const blueprint = findBlueprint(config);
  refuseQuantized(config);
  return { config, blueprint, spec: blueprint.readSpec(config) };
}

type Sizings = (device: Device, dtype: Dtype) => ModelSizing;

/** Sizes each pair of device and dtype once, when it is first asked for. */
function createSizings(input: SizingInput): Sizings {
  const known = new Map<string, ModelSizing>();
  return (device, dtype) => {
    const key = `${device} ${dtype}`;
    const sizing = known.get(key) ?? sizeModel(input, device, dtype);
    known.set(key, sizing);
    return sizing;
  };
}

/** Where the device was left open and nothing fits the preferred one: the other, if there is one and something fits there. */
function fallBack(
  preferred: Choice<Device>,
  requested: LoadRequest['dtype'],
  limits: DeviceLimits | null,
  sizings: Sizings,
): Choice<Device> {
  const dtypes = ALL_DTYPES.filter((dtype) => requested === 'auto' || requested === dtype);
  const fits = (on: Device): boolean => dtypes.some((dtype) => sizings(on, dtype).obstacle === null);
  if (limits === null || fits(preferred.value)) return preferred;
  const other = chooseOtherDevice(preferred);
  return fits(other.value) ? other : preferred;
}

function findElsewhere(device: Device, limits: DeviceLimits | null, sizings: Sizings): DtypeQuestion['elsewhere'] {
  if (device === 'wasm' && limits === null) return null;
  const other = device === 'wasm' ? 'webgpu' : 'wasm';
  return { device: other, sizeOf: (dtype) => sizings(other, dtype) };
}

function toPlannedWeight(
  spec: WeightSpec,
  { name, rows, part, encoding, buffers, tensors }: WeightLayout,
  sources: readonly TensorSource[],
): PlannedWeight {
  return {
    name,
    rows,
    cols: spec.cols,
    encoding,
    sources: part === null ? sources : cutSources(sources, { firstRow: part.firstRow, rowCount: rows }),
    buffers,
    tensors,
    computed: spec.computed,
    part,
    layer: spec.layer,
  };
}

/** The files that hold at least one needed tensor, by path: shards are numbered in the order of their tensors. */
function listNeededFiles(snapshot: Snapshot, sources: readonly { readonly file: string }[]): LoadPlan['weightFiles'] {
  const needed = new Set(sources.map(({ file }) => file));
  return snapshot.files
    .filter(({ path }) => needed.has(path))
    .map(({ path, sizeBytes }) => ({ path, sizeBytes }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
