/**
 * Stages 4, 5 and 6 together: bytes go from the network (or the cache) to the device.
 *
 * In: a plan, its graph, the repository. Out: a decoder with its weights, and what moved. Guarantees: on WebGPU the three
 * overlap: the disk is the elastic buffer between network and GPU, and host memory stays constant; on WASM the files are
 * complete before the runtime pulls them. On failure or cancel all of it is given back, and nothing keeps running.
 */
import { runTogether } from '../../base/together.ts';
import { computeRotary } from '../../blueprints/rotary.ts';
import type { DownloadSummary } from '../../contract/cache.ts';
import type { AdapterInfo } from '../../contract/load.ts';
import type { LoadPlan } from '../../contract/plan.ts';
import type { Decoder } from '../../runtime/decoder.ts';
import type { LayerComparison } from '../../runtime/gpu-first-layer.ts';
import type { GpuMemory } from '../../contract/memory.ts';
import { fillWeights } from '../fill/fill.ts';
import type { ModelGraphs } from '../build.ts';
import type { Repository } from '../repository.ts';
import type { StageLog } from '../stage-log.ts';
import { listTextFiles } from '../text-files.ts';
import { warmSkeleton } from '../warm-up/skeleton.ts';
import type { SkeletonResult } from '../warm-up/skeleton.ts';
import { reserveOnGpu } from './place-on-gpu.ts';
import type { GpuPlace } from './place-on-gpu.ts';
import { placeOnWasm } from './place-on-wasm.ts';

/** A model on its device. */
export interface PlacedModel {
  readonly decoder: Decoder;
  readonly adapter: AdapterInfo | null;
  readonly memory: () => GpuMemory | null;
  /** Null where there is nothing to compare WebAssembly with. */
  readonly compareFirstLayer: () => Promise<LayerComparison | null>;
  readonly networkBytes: number;
  readonly cachedBytes: number;
  readonly deviceBytes: number;
  /** What the skeleton's runs told, beside the download; null where there is none. */
  readonly skeleton: SkeletonResult | null;
  /** Conversations besides the live one that have their room. */
  readonly parkedCaches: number;
}

/** @throws LoadError of the stages fetch, fill and place */
export async function fetchOntoDevice(
  plan: LoadPlan,
  graphs: ModelGraphs,
  repository: Repository,
  log: StageLog,
  signal: AbortSignal,
): Promise<PlacedModel> {
  const place = plan.device === 'webgpu' ? fetchOntoGpu : fetchOntoWasm;
  return place(plan, graphs, repository, log, signal);
}

async function fetchOntoGpu(
  plan: LoadPlan,
  graphs: ModelGraphs,
  repository: Repository,
  log: StageLog,
  signal: AbortSignal,
): Promise<PlacedModel> {
  log.start('place');
  const place = await reserveOnGpu(plan, graphs);
  try {
    const [summary, , skeleton] = await runTogether<readonly [DownloadSummary, undefined, SkeletonResult]>(signal, [
      (either) => download(plan, repository, log, either),
      async (either) => {
        await log.run('fill', () =>
          fillFromDownload(plan, repository, place, either, (done, total) => {
            log.progress('fill', done, total);
            log.progress('place', done, total);
          }),
        );
        return undefined;
      },
      async (either) => {
        log.start('warmUp');
        const { contextTokens } = plan;
        return warmSkeleton(place.skeleton, { contextTokens, isSoftware: place.adapter.isFallbackAdapter }, either);
      },
    ]);
    if (summary.restarted.length > 0) {
      // What was read before a file started over was not what the hub announced: fill again, from the verified files.
      await fillFromDownload(plan, repository, place, signal, () => {});
    }
    await place.buffers.flush();
    log.end('place', null);
    return {
      decoder: place.decoder,
      adapter: place.adapter,
      memory: place.memory,
      compareFirstLayer: place.compareFirstLayer,
      networkBytes: summary.networkBytes,
      cachedBytes: summary.cachedBytes,
      deviceBytes: place.buffers.writtenBytes(),
      skeleton,
      parkedCaches: place.buffers.parkedCaches.length,
    };
  } catch (error) {
    await place.decoder.release();
    throw error;
  }
}

async function fetchOntoWasm(
  plan: LoadPlan,
  graphs: ModelGraphs,
  repository: Repository,
  log: StageLog,
  signal: AbortSignal,
): Promise<PlacedModel> {
  const summary = await download(plan, repository, log, signal);
  const files = new Map<string, File>();
  for (const { path } of plan.weightFiles) files.set(path, await repository.files.openBlob(path));
  const totalBytes = plan.costs.weightBytes;
  let deviceBytes = 0;
  const decoder = await log.run('place', async () => {
    log.start('fill');
    const placed = await placeOnWasm(plan, graphs.model, {
      files,
      onBuffer: (sizeBytes) => {
        deviceBytes += sizeBytes;
        log.progress('fill', deviceBytes, totalBytes);
        log.progress('place', deviceBytes, totalBytes);
      },
    });
    log.end('fill', null);
    return placed;
  });
  return {
    decoder,
    adapter: null,
    memory: () => null,
    compareFirstLayer: () => Promise.resolve(null),
    networkBytes: summary.networkBytes,
    cachedBytes: summary.cachedBytes,
    deviceBytes,
    skeleton: null,
    parkedCaches: plan.conversations - 1,
  };
}

function download(
  plan: LoadPlan,
  repository: Repository,
  log: StageLog,
  signal: AbortSignal,
): Promise<DownloadSummary> {
  const paths = [...plan.weightFiles.map(({ path }) => path), ...listTextFiles(repository)];
  return log.run('fetch', async () => {
    const summary = await repository.files.download(paths, {
      signal,
      onProgress: ({ doneBytes, totalBytes, networkBytes }) =>
        log.progress('fetch', doneBytes, totalBytes, networkBytes),
    });
    for (const notice of summary.notices) log.notice('fetch', notice);
    return summary;
  });
}

function fillFromDownload(
  plan: LoadPlan,
  { files }: Repository,
  { buffers }: GpuPlace,
  signal: AbortSignal,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<void> {
  return fillWeights({
    plan,
    computeRotary,
    signal,
    read: (file, start, end, either) => files.waitRange(file, start, end, { signal: either }),
    write: (name, offsetBytes, bytes) => buffers.write(name, offsetBytes, bytes),
    onProgress: ({ doneBytes, totalBytes }) => onProgress(doneBytes, totalBytes),
  });
}
