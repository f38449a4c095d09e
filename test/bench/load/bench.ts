/**
 * `npm run bench -- [--models smollm2-135m,qwen2.5-0.5b] [--dtypes fp32,q8,q4] [--lines 12.5,50] [--rounds 3] [--until ready] [--gpu]`:
 * what a load takes beyond the download and the upload that it cannot do without; what the first requests cost; memory; and
 * how soon a model that does not fit is refused. The synthetic models have the shapes of real ones. On a software GPU the
 * compute time of warm-up is not the load's: ratios are given for the ready model and for the last byte on the device
 * (`--until filled` ends there: all but the compute, in minutes).
 */
import { join } from 'node:path';
import { mkdir, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import type { Dtype } from '../../../src/contract/plan.ts';
import { drawBars, type Bar } from '../support/bar-chart.ts';
import { openPage, type BenchPage } from '../support/browser.ts';
import { startHubProcess, type BenchHub } from '../support/hub.ts';
import { startPageServer } from '../support/page-server.ts';
import { watchMemory } from '../support/process-memory.ts';
import { REPORT_FOLDER, writeReport, type Goal } from '../support/report.ts';
import { median, round } from '../support/statistics.ts';
import { makeSyntheticModel, MODEL_SHAPES, type ModelShape } from '../support/synthetic-model.ts';
import type { Floor } from './floor.worker.ts';
import type { LoadExtent, LoadMeasure, Refusal } from './page.ts';

const MB = 1e6;
const LATENCY_MS = 50;
/** Nothing of it but its header is ever read. */
const TOO_LARGE: ModelShape = 'qwen2.5-14b';
const BUNDLED = 'firstlight/storyteller-2m';

interface Setup {
  readonly hub: BenchHub;
  readonly openPage: () => Promise<BenchPage>;
  readonly rounds: number;
  /** How far loads are followed. */
  readonly until: 'ready' | 'filled';
}

/** Runs what was asked for. */
export async function run(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      models: { type: 'string', default: 'smollm2-135m,qwen2.5-0.5b' },
      dtypes: { type: 'string', default: 'fp32,q8,q4' },
      lines: { type: 'string', default: '12.5,50' },
      rounds: { type: 'string', default: '3' },
      until: { type: 'string', default: 'ready' },
      gpu: { type: 'boolean', default: false },
      out: { type: 'string', default: REPORT_FOLDER },
    },
  });
  const shapes = MODEL_SHAPES.filter((shape) => values.models.split(',').includes(shape));
  const dtypes = values.dtypes.split(',') as Dtype[];
  const lines = values.lines
    .split(',')
    .map(Number)
    .filter((line) => line > 0); // 'none' is none
  const server = await startPageServer('test/bench/load/index.html');
  const bundled = { main: { directory: fileURLToPath(new URL(`../../../public/models/${BUNDLED}`, import.meta.url)) } };
  const hub = await startHubProcess({
    repositories: {
      [BUNDLED]: bundled,
      ...Object.fromEntries([...shapes, TOO_LARGE].map((shape) => [toId(shape), makeSyntheticModel(shape).repository])),
    },
  });
  const setup = {
    hub,
    openPage: () => openPage(server, { gpu: values.gpu }),
    rounds: Number(values.rounds),
    until: values.until === 'filled' ? ('filled' as const) : ('ready' as const),
  };
  const results: ModelResult[] = [];
  const goals: Goal[] = [];
  try {
    const runtimeBytes = await measurePeak(setup, BUNDLED, 'fp32');
    goals.push(...(await measureRefusal(setup)));
    for (const shape of shapes) {
      for (const dtype of dtypes) results.push(await measureModel(setup, shape, dtype, lines, runtimeBytes));
    }
  } finally {
    hub.close();
    await server.close();
  }
  await writeCharts(values.out, results);
  await writeReport(join(values.out, 'load.json'), { goals: [...goals, ...results.flatMap(toGoals)], results });
}

interface ModelResult {
  readonly shape: ModelShape;
  readonly dtype: Dtype;
  readonly cold: readonly ColdResult[];
  readonly warm: WarmResult;
  /** First token after ready ÷ the second request's; first token of a generation ÷ its later ones. Null: not asked. */
  readonly firstPrefillRatio: number | null;
  readonly firstTokenRatio: number | null;
  /** Peak above that of the bundled model's load; null where the system does not tell. */
  readonly extraPeakBytes: number | null;
}

interface ColdResult {
  readonly lineMbPerSecond: number;
  readonly plainMs: number;
  /** Until the last byte was on the device. */
  readonly filledMs: number;
  /** Until the model was ready: after compiling and the first runs. Null where it was not followed so far. */
  readonly readyMs: number | null;
  /** Ms since the call. */
  readonly stages: LoadMeasure['stages'];
}

interface WarmResult {
  readonly filledMs: number;
  readonly readyMs: number | null;
  readonly floorMs: number;
  /** Making as many bytes of buffers, which the floor leaves out. */
  readonly makeMs: number;
  readonly placedBytes: number;
  /** Of the last load, ms since the call. */
  readonly stages: LoadMeasure['stages'];
}

async function measureModel(
  setup: Setup,
  shape: ModelShape,
  dtype: Dtype,
  lines: readonly number[],
  runtimeBytes: number | null,
): Promise<ModelResult> {
  const { hub } = setup;
  const id = toId(shape);
  const name = `${shape} ${dtype}`;
  const cold: ColdResult[] = [];
  for (const line of lines) {
    await hub.setThrottle({ bytesPerSecond: line * MB, latencyMs: LATENCY_MS });
    cold.push(await withPage(setup, (page) => measureCold(page, setup, id, dtype, line)));
    console.log(`  ${name} cold at ${line} MB/s: ${describe(cold.at(-1))}`);
  }
  await hub.setThrottle({});
  const warm = await withPage(setup, async (page) => {
    // To the end of the stage: only then are prepared weights kept.
    await load(page, hub, id, dtype, setup.until === 'ready' ? 'ready' : 'placed');
    const loads: LoadMeasure[] = [];
    const floors: Floor[] = [];
    for (let index = 0; index < setup.rounds; index++) {
      const isLast = index === setup.rounds - 1;
      loads.push(await load(page, hub, id, dtype, isLast && setup.until === 'ready' ? 'requests' : setup.until));
      floors.push((await page.call('floor', loads[0]?.placedBytes)) as Floor);
    }
    return { loads, floors };
  });
  const last = warm.loads.at(-1) as LoadMeasure;
  const warmResult: WarmResult = {
    filledMs: median(warm.loads.map(({ filledMs }) => filledMs)),
    readyMs: last.readyMs === null ? null : median(warm.loads.map(({ readyMs }) => readyMs ?? NaN)),
    floorMs: median(warm.floors.map(({ moveMs }) => moveMs)),
    makeMs: median(warm.floors.map(({ makeMs }) => makeMs)),
    placedBytes: last.placedBytes,
    stages: last.stages,
  };
  console.log(`  ${name} warm: ${describe(warmResult)}`);
  const peakBytes = await measurePeak(setup, id, dtype);
  return {
    shape,
    dtype,
    cold,
    warm: warmResult,
    firstPrefillRatio: last.readyMs === null ? null : last.firstPrefillMs / last.secondPrefillMs,
    firstTokenRatio: last.readyMs === null ? null : (last.tokenMs[1] ?? NaN) / median(last.tokenMs.slice(2)),
    extraPeakBytes: peakBytes === null || runtimeBytes === null ? null : peakBytes - runtimeBytes,
  };
}

async function measureCold(
  page: BenchPage,
  { hub, until }: Setup,
  id: string,
  dtype: Dtype,
  lineMbPerSecond: number,
): Promise<ColdResult> {
  const url = `${hub.endpoint}/${id}/resolve/main/model.safetensors`;
  const plainMs = (await page.call('plain', url)) as number;
  await page.call('clear');
  const { filledMs, readyMs, stages } = await load(page, hub, id, dtype, until);
  return { lineMbPerSecond, plainMs, filledMs, readyMs, stages };
}

/** Each time in a browser of its own. */
async function measureRefusal({ rounds, hub, openPage }: Setup): Promise<Goal[]> {
  const refusals: Refusal[] = [];
  for (let index = 0; index < rounds; index++) {
    refusals.push(
      await withPage(
        { openPage },
        async (page) => (await page.call('refuse', hub.endpoint, toId(TOO_LARGE))) as Refusal,
      ),
    );
  }
  const toGoal = (since: string, times: readonly number[]): Goal => ({
    figure: `s to say that ${TOO_LARGE} does not fit, since ${since}, in a browser just started`,
    value: round(median(times) / 1000),
    goal: '≤ 1',
    met: median(times) <= 1000,
  });
  return [
    toGoal(
      'the call',
      refusals.map(({ elapsedMs }) => elapsedMs),
    ),
    toGoal(
      'the headers were asked for',
      refusals.map(({ planMs }) => planMs),
    ),
  ];
}

/** Peak over a cold load, bytes: the median of several. Whether compiling and fetching peak at the same instant is luck. */
async function measurePeak(setup: Setup, id: string, dtype: Dtype): Promise<number | null> {
  const peaks: number[] = [];
  for (let index = 0; index < setup.rounds; index++) {
    const peakBytes = await withPage(setup, async (page) => {
      const watch = await watchMemory(page.profileDir);
      await load(page, setup.hub, id, dtype, setup.until);
      return watch === null ? null : (await watch.stop()).peakBytes;
    });
    if (peakBytes === null) return null;
    peaks.push(peakBytes);
  }
  console.log(`  ${id} ${dtype} peaks: ${peaks.map((bytes) => `${round(bytes / MB)} MB`).join(', ')}`);
  return median(peaks);
}

async function load(
  page: BenchPage,
  hub: BenchHub,
  id: string,
  dtype: Dtype,
  extent: LoadExtent,
): Promise<LoadMeasure> {
  return (await page.call('load', hub.endpoint, id, dtype, extent)) as LoadMeasure;
}

/** A browser of its own, so that nothing is warm that should be cold. */
async function withPage<T>({ openPage }: Pick<Setup, 'openPage'>, work: (page: BenchPage) => Promise<T>): Promise<T> {
  const page = await openPage();
  try {
    return await work(page);
  } finally {
    await page.close();
  }
}

function toGoals(result: ModelResult): Goal[] {
  const { shape, dtype, cold, warm } = result;
  const name = `${shape} ${dtype}`;
  const atMost = (figure: string, value: number | null, limit: number): Goal[] =>
    value === null
      ? []
      : [{ figure: `${name}: ${figure}`, value: round(value), goal: `≤ ${limit}`, met: value <= limit }];
  const over = (value: number | null, floor: number): number | null => (value === null ? null : value / floor);
  return [
    ...cold.flatMap(({ lineMbPerSecond, plainMs, filledMs, readyMs, stages }) => [
      // Uploads queue behind the skeleton's runs, and a decode step of a software GPU takes seconds: so, what the network took alone.
      ...atMost(`cold fetched ÷ download, ${lineMbPerSecond} MB/s`, (stages['fetch']?.endMs ?? NaN) / plainMs, 1.05),
      ...atMost(`cold ready ÷ download, ${lineMbPerSecond} MB/s`, over(readyMs, plainMs), 1.05),
      ...atMost(`cold filled ÷ download, ${lineMbPerSecond} MB/s`, filledMs / plainMs, 1.05),
    ]),
    ...atMost('warm ready ÷ OPFS read + writeBuffer', over(warm.readyMs, warm.floorMs), 1.3),
    ...atMost('warm filled ÷ OPFS read + writeBuffer', warm.filledMs / warm.floorMs, 1.3),
    ...atMost(
      'warm filled ÷ making buffers + OPFS read + writeBuffer',
      warm.filledMs / (warm.makeMs + warm.floorMs),
      1.3,
    ),
    ...atMost('first prefill ÷ second', result.firstPrefillRatio, 1.15),
    ...atMost('first decoded token ÷ later ones', result.firstTokenRatio, 1.15),
    ...atMost('peak MB above the bundled model', over(result.extraPeakBytes, MB), 64),
  ];
}

async function writeCharts(folder: string, results: readonly ModelResult[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  const charts: Record<string, readonly Bar[]> = {
    cold: results.flatMap(({ shape, dtype, cold }) =>
      cold.map(({ lineMbPerSecond, plainMs, filledMs }) => ({
        label: `${shape} ${dtype}, ${lineMbPerSecond} MB/s`,
        value: filledMs / plainMs,
        goal: 1.05,
      })),
    ),
    warm: results.map(({ shape, dtype, warm }) => ({
      label: `${shape} ${dtype}`,
      value: warm.filledMs / warm.floorMs,
      goal: 1.3,
    })),
    memory: results.flatMap(({ shape, dtype, extraPeakBytes }) =>
      extraPeakBytes === null ? [] : [{ label: `${shape} ${dtype}`, value: extraPeakBytes / MB, goal: 64 }],
    ),
  };
  const titles: Record<string, string> = {
    cold: 'Cold load to the last byte on the device ÷ plain download',
    warm: 'Warm load to the last byte on the device ÷ OPFS read and writeBuffer',
    memory: 'Peak memory above the bundled model’s, MB',
  };
  for (const [name, bars] of Object.entries(charts)) {
    await writeFile(join(folder, `${name}.svg`), drawBars(titles[name] ?? name, bars));
  }
}

function toId(shape: ModelShape): string {
  return `bench/${shape}`;
}

function describe(result: object | undefined): string {
  return Object.entries(result ?? {})
    .map(([key, value]) => `${key} ${typeof value === 'number' ? round(value) : JSON.stringify(value, toRounded)}`)
    .join(', ');
}

function toRounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Math.round(value) : value;
}
