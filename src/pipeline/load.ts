/**
 * A load from end to end: calls the eight stages in order. Read this first.
 *
 *   1 resolve ─► 2 plan ─► 3 build ─► 6 place: reserve ─┬─► 4 fetch ─┬─► 6 place: filled ─► 7 warm up ─► 8 serve
 *                                                       └─► 5 fill ──┘
 *
 * Beside 4 to 7, what serving needs is read and made: configs, tokenizer, chat templates. Where the warm-up finds that float16
 * does not hold a model, and nobody has asked for float16, the stages from 2 on run once more, without.
 *
 * In: what a page asked for. Out: a {@link ServedModel}, or an error that says in which stage, and why. Guarantees: whatever
 * the outcome, nothing keeps running and nothing stays locked; on failure or cancel every buffer is given back, and what was
 * downloaded and verified stays.
 */
import { throwIfAborted } from '../base/abort.ts';
import { runBeside } from '../base/together.ts';
import { cleanUpAfter } from '../base/clean-up.ts';
import { isLoadError, LoadError } from '../contract/errors.ts';
import type { LoadEvent, LoadReport, LoadRequest, ModelInfo, PlanSummary } from '../contract/load.ts';
import type { LoadPlan, PlannedStorage } from '../contract/plan.ts';
import { type AdapterAnswer, describeAdapter } from '../runtime/gpu/adapter.ts';
import { startOnnxRuntime } from '../runtime/ort/onnxruntime.ts';
import { buildGraphs, buildNothing } from './build/build.ts';
import type { ModelGraphs } from './build/build.ts';
import { fetchOntoDevice } from './deliver/fetch-onto-device.ts';
import { listNeededFiles } from './plan/needed-files.ts';
import { removePreparedWeights } from './prepared/prepared-weights.ts';
import {
  describeOtherAttempt,
  findFloat16Fault,
  recallFloat16Fault,
  rememberFloat16Fault,
} from './warm-up/float16-fault.ts';
import { planLoad } from './plan/plan.ts';
import type { PlanInput } from './plan/plan.ts';
import { summarizePlan } from './plan/summary.ts';
import { describeModel, makeReport } from './report.ts';
import { withCacheOrWithout, withRepository } from './resolve/repository.ts';
import type { Repository, RepositoryRequest } from './resolve/repository.ts';
import { CachedDecoder } from './sequences/cached-decoder.ts';
import { listFirstIds } from './serve/first-ids.ts';
import { readGenerationDefaults } from './serve/generation-defaults.ts';
import { ServedModel } from './serve/served-model.ts';
import { StageLog } from './stage-log.ts';
import { chooseMoment, makeTexts } from './texts/make-texts.ts';
import type { MadeTexts } from './texts/make-texts.ts';
import type { TextSource } from './texts/read-file.ts';
import { readOnce } from './texts/read-once.ts';
import { readFixture } from './texts/read-texts.ts';
import { makeBudget } from './warm-up/budget.ts';
import { warmUp } from './warm-up/warm-up.ts';

/** What a load works with; its events go to `onEvent`. */
export type LoadContext = Omit<RepositoryRequest, 'log'>;

/** Stages 1 and 2: what a load would do and cost. Fetches no weights. */
export async function planModel(context: LoadContext, onEvent: (event: LoadEvent) => void): Promise<PlanSummary> {
  const log = new StageLog(onEvent);
  const run = { ...context, log, adapter: describeAdapter() };
  try {
    return await withRepository(run, async (repository) => {
      const plan = await runPlan(repository, repository, run, null);
      const summary = summarizePlan(plan);
      log.publishPlan(summary);
      return summary;
    });
  } catch (error) {
    log.fail(error);
    throw error;
  }
}

/**
 * What to ask for to get the same model again: its commit, dtype, device and context, whatever the branch or the defaults
 * say by now. A commit that is in the cache asks the network for nothing.
 */
export function pinRequest(request: LoadRequest, info: ModelInfo, storage: PlannedStorage): LoadRequest {
  const { commit, dtype, device } = info;
  const named = request.origin.type === 'id';
  // What it had grown to is not asked for at once: the conversations that needed it went with the device.
  const contextTokens = { reserve: info.contextTokens, max: info.maxContextTokens };
  const pinned = { ...request, dtype, device, contextTokens };
  // What lies at an address or in a folder has no revisions; of an address, the files that were loaded are taken, where they are kept.
  const fromCache = request.origin.type === 'url' && storage.kind === 'cache';
  return named ? { ...pinned, revision: commit } : { ...pinned, offline: fromCache };
}

/** The same model again, after its device was lost. @throws LoadError of any code; `file_changed` where it is another by now */
export async function remakeModel(context: LoadContext, info: ModelInfo, report: LoadReport): Promise<ServedModel> {
  const model = await loadModel({ ...context, request: pinRequest(context.request, info, report.storage) }, () => {});
  if (model.info.commit === info.commit) return model;
  await model.release();
  throw new LoadError('file_changed', {
    message: `What lies at the address of ${info.modelId} is no longer what was loaded. Load it again.`,
    detail: { modelId: info.modelId, before: info.commit, now: model.info.commit },
  });
}

/** All stages. @throws LoadError of any code */
export async function loadModel(context: LoadContext, onEvent: (event: LoadEvent) => void): Promise<ServedModel> {
  const log = new StageLog(onEvent);
  // Both take their time and need nothing of the model: while it is looked up.
  const run = { ...context, log, adapter: describeAdapter() };
  startOnnxRuntime(buildNothing());
  try {
    const model = await withRepository(run, (repository) => runStages(repository, run));
    onEvent({ type: 'ready', atMs: log.nowMs() });
    return model;
  } catch (error) {
    log.fail(error);
    throw error;
  }
}

/** A load, and what was begun for it. */
interface Run extends RepositoryRequest {
  readonly adapter: Promise<AdapterAnswer>;
}

/** Stages 2 to 8; from 2 on once more where 'auto' chose float16 and the model is not for it. */
async function runStages(repository: Repository, run: Run): Promise<ServedModel> {
  const { request, log } = run;
  const source = readOnce(repository);
  const plan = await runPlan(repository, source, run, null);
  try {
    return await carryOut(plan, repository, source, run);
  } catch (error) {
    // By now everything that was made for this plan has been given back.
    const finding = findFloat16Fault(error, plan, request);
    if (finding === null) throw error;
    const { adapter } = await run.adapter;
    const isKept = await rememberFloat16Fault({ request, snapshot: repository.snapshot, adapter }, finding);
    await removePreparedWeights(plan, repository.snapshot);
    log.restart('plan');
    const other = await runPlan(repository, source, run, finding).catch((unplanned: unknown) => {
      // Without float16 it does not fit: what was wrong with float16 is the better news.
      throw isLoadError(unplanned) && unplanned.code === 'does_not_fit' ? error : unplanned;
    });
    log.notice('plan', describeOtherAttempt(plan, other, finding, isKept));
    return carryOut(other, repository, source, run);
  }
}

/** The stages behind the plan. */
async function carryOut(
  plan: LoadPlan,
  repository: Repository,
  source: TextSource,
  { log, signal }: Run,
): Promise<ServedModel> {
  log.publishPlan(summarizePlan(plan));
  const graphs = await log.run(
    'build',
    () => buildGraphs(plan),
    ({ model }) => `${model.byteLength} bytes of graph, no weights`,
  );
  throwIfAborted(signal);
  // Beside the weights: a tokenizer that cannot be made ends the load before gigabytes have come.
  const whenFree = (either: AbortSignal): Promise<void> => log.when(chooseMoment(plan), either);
  return runBeside(
    signal,
    (either) =>
      withCacheOrWithout(repository, 'fetch', () => makeTexts(source, plan.tokenizer, () => whenFree(either), either)),
    (making, either) => placeAndServe(repository, plan, graphs, making, { log, signal: either }),
  );
}

/** The stages from the first weight byte on. */
async function placeAndServe(
  repository: Repository,
  plan: LoadPlan,
  graphs: ModelGraphs,
  making: Promise<MadeTexts>,
  { log, signal }: Pick<Run, 'log' | 'signal'>,
): Promise<ServedModel> {
  const placed = await fetchOntoDevice({ plan, graphs, repository, log }, signal);
  const budget = placed.skeleton && makeBudget(plan, placed.parkedCaches, placed.skeleton.activationBytes);
  const decoder = new CachedDecoder(placed.decoder, {
    chunkTokens: budget?.chunkTokens,
    maxContextTokens: plan.maxContextTokens,
    longestContextTokens: plan.longestContextTokens,
  });
  try {
    const warmth = await log.run('warmUp', async () =>
      warmUp({
        decoder,
        plan,
        adapter: placed.adapter,
        compareLayers: placed.compareLayers,
        firstIds: async () => {
          const { tokenizer, generationConfig, config } = await making;
          return listFirstIds({ tokenizer, configs: [generationConfig, config], vocabSize: plan.sizes.vocabSize });
        },
        fixture: await readFixture(repository, plan.sizes.vocabSize, signal),
        signal,
        onNotice: (notice) => log.notice('warmUp', notice),
      }),
    );
    log.start('serve');
    const { notices, ...texts } = await making;
    const generation = readGenerationDefaults(texts.generationConfig, texts.config);
    for (const notice of [...notices, ...generation.notices]) log.notice('serve', notice);
    const { templateProblem } = texts.tokenizer;
    if (templateProblem !== null) log.notice('serve', templateProblem);
    throwIfAborted(signal);
    log.end('serve', null);
    const report = makeReport({
      plan,
      placed,
      budget,
      warmth,
      gpuMemory: decoder.gpu?.memory() ?? null,
      receivedBytes: await repository.files.receivedBytes(),
      repository,
      log,
    });
    return new ServedModel({
      decoder,
      ...texts,
      defaults: generation.defaults,
      info: describeModel(plan, texts.tokenizer),
      report,
    });
  } catch (error) {
    throw await cleanUpAfter(error, () => decoder.release());
  }
}

/** `finding`: what this load saw in float16; null: what an earlier one saw counts. */
async function runPlan(
  repository: Repository,
  { files }: TextSource,
  { request, log, adapter, signal }: Run,
  finding: string | null,
): Promise<LoadPlan> {
  const { snapshot } = repository;
  const lookAtStorage: PlanInput['lookAtStorage'] = async (planned) => {
    if (repository.storage.kind === 'cache' && request.cache === 'auto') {
      const { statuses, shortage } = await repository.files.foresee(listNeededFiles(snapshot, planned));
      if (!shortage) return { storage: repository.storage, statuses };
      await repository.doWithoutCache(shortage, 'plan');
    }
    const statuses = await repository.files.status(planned.weightFiles.map(({ path }) => path));
    return { storage: repository.storage, statuses };
  };
  const plan = async (): Promise<LoadPlan> => {
    const { adapter: info, absence } = await adapter;
    return planLoad({
      snapshot,
      request,
      adapter: info,
      adapterAbsence: absence,
      float16Finding: finding ?? (await recallFloat16Fault({ request, snapshot, adapter: info })),
      platform: { userAgent: navigator.userAgent, maxTouchPoints: request.maxTouchPoints },
      readAll: (path) => files.readAll(path, { signal }),
      readRange: (path, start, end) => repository.files.readRange(path, start, end, { signal }),
      lookAtStorage,
      signal,
    });
  };
  return log.run(
    'plan',
    async () => {
      const planned = await withCacheOrWithout(repository, 'plan', plan);
      for (const notice of planned.notices) log.notice('plan', notice);
      return planned;
    },
    ({ dtype, device }) => `${dtype} on ${device}`,
  );
}
