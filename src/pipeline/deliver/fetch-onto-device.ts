/**
 * Stages 4, 5 and 6 together: bytes go from the network (or the cache) to the device.
 *
 * In: a plan, its graph, the repository. Out: a decoder with its weights, and what moved. Guarantees: on WebGPU the three
 * overlap: the disk is the elastic buffer between network and GPU, and host memory stays constant; on WASM the files are
 * complete before the runtime pulls them. Where an earlier load has left prepared weights, those are read instead of the
 * files, which are only made sure of. On failure or cancel all of it is given back, and nothing keeps running.
 */
import { cleanUpAfter, runThenCleanUp } from '../../base/clean-up.ts';
import { runTogether } from '../../base/together.ts';
import { computeRotary } from '../../blueprints/rotary/rotary.ts';
import type { DownloadSummary } from '../../contract/cache.ts';
import type { AdapterInfo } from '../../contract/load.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { Decoder } from '../../runtime/decoder.ts';
import type { LayerComparison } from '../../runtime/gpu/compare-layers.ts';
import type { WriteBytes } from '../fill/aligned-writer.ts';
import { fillTables, fillWeights } from '../fill/fill.ts';
import type { ReadableFile } from '../../store/readable-file.ts';
import { NO_PREPARED_WEIGHTS, openPreparedWeights } from '../prepared/prepared-weights.ts';
import type { PreparedWeights } from '../prepared/prepared-weights.ts';
import { listReadEnds } from '../fill/row-blocks.ts';
import type { ModelGraphs } from '../build/build.ts';
import { withCacheOrWithout } from '../resolve/repository.ts';
import type { Repository } from '../resolve/repository.ts';
import type { StageLog } from '../stage-log.ts';
import { listNeededFiles } from '../plan/needed-files.ts';
import { warmSkeleton } from '../warm-up/skeleton.ts';
import type { SkeletonResult } from '../warm-up/skeleton.ts';
import { openOnGpu, reserveOnGpu } from '../place/place-on-gpu.ts';
import type { GpuPlace, GpuRoom } from '../place/place-on-gpu.ts';
import { makeFromFiles, placeOnWasm } from '../place/place-on-wasm.ts';
import type { MakeBuffer } from '../place/place-on-wasm.ts';
import { WeightMemory } from './weight-memory.ts';
import { openWeightReader } from './weight-reader.ts';

/** A model on its device. */
export interface PlacedModel {
  readonly decoder: Decoder;
  readonly adapter: AdapterInfo | null;
  /** Null where there is nothing to compare WebAssembly with. */
  readonly compareLayers: (signal: AbortSignal) => Promise<LayerComparison | null>;
  /** Of all files that it needs. */
  readonly fileBytes: number;
  readonly deviceBytes: number;
  /** What the skeleton's runs told, beside the download; null where there is none. */
  readonly skeleton: SkeletonResult | null;
  /** Conversations besides the live one that have their room. */
  readonly parkedCaches: number;
  /** Read from weights that an earlier load had prepared. */
  readonly preparedBytes: number;
}

/** What a model is placed from, and whom it is told to. */
export interface Delivery {
  readonly plan: LoadPlan;
  readonly graphs: ModelGraphs;
  readonly repository: Repository;
  readonly log: StageLog;
}

/** @throws LoadError of the stages fetch, fill and place */
export async function fetchOntoDevice(delivery: Delivery, signal: AbortSignal): Promise<PlacedModel> {
  const { plan, repository, log } = delivery;
  // Beside the reserving: either takes its time, and they do not wait for each other. It never rejects.
  const opening =
    repository.storage.kind === 'none'
      ? Promise.resolve(NO_PREPARED_WEIGHTS)
      : openPreparedWeights(plan, repository.snapshot, (notice) => log.notice('fill', notice));
  const place = plan.device === 'webgpu' ? fetchOntoGpu : fetchOntoWasm;
  return runThenCleanUp(
    () => place(delivery, opening, signal),
    async () => (await opening).close(),
  );
}

async function fetchOntoGpu(
  delivery: Delivery,
  opening: Promise<PreparedWeights>,
  signal: AbortSignal,
): Promise<PlacedModel> {
  const { plan, graphs, repository, log } = delivery;
  log.start('place');
  const room = await reserveOnGpu(plan);
  const { buffers } = room;
  let giveBack = async (): Promise<void> => {
    buffers.destroy();
    room.gpu.destroy();
  };
  try {
    let prepared = await opening; // before the download, which asks for room too
    const onProgress = (done: number, total: number): void => {
      log.progress('fill', done, total);
      // What the device takes is another number of bytes than what is read.
      log.progress('place', buffers.writtenBytes(), plan.costs.weightBytes);
    };
    const bring = async (either: AbortSignal): Promise<Brought> => {
      if (repository.storage.kind === 'none') prepared = await dropPrepared(prepared);
      return runTogether<Brought>(either, [
        (both) => download(delivery, both),
        async (both) => {
          if (await fillFromPrepared(plan, prepared, room, both, onProgress)) return true;
          await fillFromDownload(delivery, keepAndWrite(prepared, room), both, onProgress);
          return false;
        },
      ]);
    };
    log.start('fetch'); // which begins first
    const [[summary, fromPrepared], opened] = await runTogether<readonly [Brought, WarmPlace]>(signal, [
      (either) => log.run('fill', () => withCacheOrWithout(repository, 'fetch', () => bring(either))),
      async (either) => {
        const place = await openOnGpu(room, graphs, either);
        const { skeleton, decoder, adapter } = place;
        giveBack = () => decoder.release();
        log.start('warmUp');
        const capture = async (): Promise<void> => decoder.tokenLoop?.capture(either);
        const { contextTokens } = plan;
        const request = { skeleton, capture, contextTokens, isSoftware: adapter.isFallbackAdapter };
        return { place, skeleton: await warmSkeleton(request, either) };
      },
    ]);
    if (summary.restarted.length > 0 && !fromPrepared) {
      // What was read before a file started over was not what the hub announced: fill again, from the verified files.
      await prepared.keeper?.discard();
      await fillFromDownload(delivery, keepAndWrite(prepared, room), signal, () => {});
    }
    const flushed = buffers.flush();
    await prepared.keeper?.commit();
    await flushed;
    log.end('place', null);
    const { decoder, adapter, compareLayers } = opened.place;
    return {
      decoder,
      adapter,
      compareLayers,
      fileBytes: summary.totalBytes,
      deviceBytes: buffers.writtenBytes(),
      skeleton: opened.skeleton,
      parkedCaches: buffers.kv.slots.length,
      preparedBytes: prepared.source?.readBytes ?? 0,
    };
  } catch (error) {
    throw await cleanUpAfter(error, giveBack);
  }
}

/** What a download did, and whether the weights were read from prepared ones instead. */
type Brought = readonly [DownloadSummary, boolean];

/** What runs on the device, and what its skeleton told. */
interface WarmPlace {
  readonly place: GpuPlace;
  readonly skeleton: SkeletonResult;
}

async function fetchOntoWasm(
  delivery: Delivery,
  opening: Promise<PreparedWeights>,
  signal: AbortSignal,
): Promise<PlacedModel> {
  const { plan, graphs, repository, log } = delivery;
  let prepared = await opening; // before the download, which asks for room too
  const totalBytes = plan.costs.weightBytes;
  const weights = await withCacheOrWithout(repository, 'fetch', async () => {
    if (repository.storage.kind !== 'none') return openFiles(delivery, prepared, signal);
    prepared = await dropPrepared(prepared);
    return fillMemory(delivery, signal);
  });
  let deviceBytes = 0;
  const onBuffer = (sizeBytes: number): void => {
    deviceBytes += sizeBytes;
    log.progress('fill', deviceBytes, totalBytes);
    log.progress('place', deviceBytes, totalBytes);
  };
  const decoder = await log.run('place', async () => {
    try {
      if (!weights.areFilled) log.start('fill');
      const placed = await placeOnWasm(plan, graphs.model, weights.makeBuffer, onBuffer, signal);
      log.end('fill', null);
      return placed;
    } finally {
      weights.close();
    }
  });
  await prepared.keeper?.commit();
  return {
    decoder,
    adapter: null,
    compareLayers: () => Promise.resolve(null),
    fileBytes: weights.summary.totalBytes,
    deviceBytes,
    skeleton: null,
    parkedCaches: plan.conversations - 1,
    preparedBytes: prepared.source?.readBytes ?? 0,
  };
}

/** Weights that the runtime can ask for. */
interface WasmWeights {
  readonly summary: DownloadSummary;
  readonly makeBuffer: MakeBuffer;
  /** Converted before the runtime asks, and not while it does. */
  readonly areFilled: boolean;
  close(): void;
}

/** The files, complete in the cache, or in their folder. */
async function openFiles(delivery: Delivery, prepared: PreparedWeights, signal: AbortSignal): Promise<WasmWeights> {
  const { plan, repository } = delivery;
  const summary = await download(delivery, signal);
  const files = new Map<string, ReadableFile>();
  const close = (): void => files.forEach((file) => file.close());
  try {
    for (const { path } of plan.weightFiles) files.set(path, await repository.files.openBlob(path));
  } catch (error) {
    close();
    throw error;
  }
  return { summary, makeBuffer: makeFromFiles(plan, files, prepared), areFilled: false, close };
}

/** Where nothing is kept, neither are they; what of them is half made takes room. */
async function dropPrepared(prepared: PreparedWeights): Promise<PreparedWeights> {
  await prepared.keeper?.discard();
  return NO_PREPARED_WEIGHTS;
}

/** The converted weights, in memory: nothing is kept that could be read when the runtime asks. */
async function fillMemory(delivery: Delivery, signal: AbortSignal): Promise<WasmWeights> {
  const { plan, log } = delivery;
  const memory = new WeightMemory(plan);
  log.start('fetch'); // which begins first
  const [summary] = await runTogether<readonly [DownloadSummary, undefined]>(signal, [
    (either) => download(delivery, either),
    async (either) => {
      const onProgress = (done: number, total: number): void => log.progress('fill', done, total);
      await log.run('fill', () => fillFromDownload(delivery, memory, either, onProgress));
    },
  ]);
  return { summary, makeBuffer: (name) => memory.take(name), areFilled: true, close: () => memory.clear() };
}

function download({ plan, repository, log }: Delivery, signal: AbortSignal): Promise<DownloadSummary> {
  const paths = listNeededFiles(repository.snapshot, plan);
  return log.run('fetch', async () => {
    const summary = await repository.files.download(paths, {
      signal,
      readEnds: listReadEnds(plan.weights, plan.weightFiles),
      onProgress: ({ doneBytes, totalBytes, networkBytes }) =>
        log.progress('fetch', doneBytes, totalBytes, networkBytes),
    });
    for (const notice of summary.notices) log.notice('fetch', notice);
    return summary;
  });
}

async function fillFromDownload(
  { plan, repository }: Delivery,
  target: { readonly write: WriteBytes },
  signal: AbortSignal,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<void> {
  const reader = await openWeightReader(plan, repository);
  try {
    await fillWeights({
      plan,
      computeRotary,
      signal,
      read: (file, start, end, either) => reader.read(file, start, end, either),
      write: (name, offsetBytes, bytes) => target.write(name, offsetBytes, bytes),
      onProgress: ({ doneBytes, totalBytes }) => onProgress(doneBytes, totalBytes),
    });
  } finally {
    reader.close();
  }
}

/** What goes to the device is kept on the way, where something is to be kept. */
function keepAndWrite({ keeper }: PreparedWeights, { buffers }: GpuRoom): { readonly write: WriteBytes } {
  return {
    write: async (name, offsetBytes, bytes) => {
      await keeper?.keep(name, offsetBytes, bytes);
      await buffers.write(name, offsetBytes, bytes);
    },
  };
}

/** False where there are none, or they turned out damaged: then everything is to be filled from the files. */
async function fillFromPrepared(
  plan: LoadPlan,
  { source }: PreparedWeights,
  { buffers }: GpuRoom,
  signal: AbortSignal,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<boolean> {
  if (!source) return false;
  const write: WriteBytes = (name, offsetBytes, bytes) => buffers.write(name, offsetBytes, bytes);
  if (!(await source.stream(write, signal, onProgress))) return false;
  await fillTables({ plan, computeRotary, signal, write });
  return true;
}
