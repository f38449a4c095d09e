/**
 * `npm run bench:decode -- [folder ...] [--dtype q4] [--tokens 256] [--prefill 512] [--rounds 5] [--sample] [--gpu]`: tokens a
 * second and JavaScript time a token, of our token loop and of transformers.js, and a long prompt at once, on the same page
 * in the same run.
 *
 * A folder holds a checkpoint; default: the bundled model and a synthetic one that is shallow enough for a software GPU.
 * Medians of the rounds; the contenders take turns. Nothing is asserted but that greedy contenders give the same ids.
 */
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { RepositorySpec } from '../../hub/index.ts';
import { openPage, type BenchPage } from '../support/browser.ts';
import { startHubProcess } from '../support/hub.ts';
import { startPageServer } from '../support/page-server.ts';
import { REPORT_FOLDER, writeReport, type Goal } from '../support/report.ts';
import { median, round } from '../support/statistics.ts';
import { makeSyntheticModel } from '../support/synthetic-model.ts';
import type { DecodeRequest, DecodeRound, PrefillRound } from './page.ts';

const BUNDLED = fileURLToPath(new URL('../../../public/models/firstlight/storyteller-2m', import.meta.url));

type Contender = DecodeRound['contender'];

/** Medians of one contender. */
interface Figures {
  readonly tokensPerSecond: number;
  readonly scriptMs: number;
  readonly runMs: number | null;
  readonly firstTokenMs: number;
}

/** Runs what was asked for. */
export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      dtype: { type: 'string', default: 'fp32' },
      tokens: { type: 'string', default: '256' },
      prefill: { type: 'string', default: '512' },
      rounds: { type: 'string', default: '5' },
      sample: { type: 'boolean', default: false },
      // The machine's own GPU instead of the software adapter.
      gpu: { type: 'boolean', default: false },
      out: { type: 'string', default: join(REPORT_FOLDER, 'decode.json') },
    },
  });
  const repositories: Record<string, RepositorySpec> = Object.fromEntries(
    (positionals.length > 0 ? positionals : [BUNDLED]).map((folder) => [
      `bench/${basename(folder)}`,
      { main: { directory: resolve(folder) } },
    ]),
  );
  if (positionals.length === 0) repositories['bench/shallow'] = makeSyntheticModel('shallow').repository;
  const hub = await startHubProcess({ repositories });
  const server = await startPageServer('test/bench/decode/index.html');
  const results: { readonly model: string; readonly result: DecodeResult }[] = [];
  try {
    for (const modelId of Object.keys(repositories)) {
      const page = await openPage(server, { gpu: values.gpu });
      const request: DecodeRequest = {
        endpoint: hub.endpoint,
        modelId,
        dtype: values.dtype as DecodeRequest['dtype'],
        tokens: Number(values.tokens),
        sampling: values.sample ? { temperature: 0.8, topK: 50, topP: 1, minP: 0 } : null,
      };
      try {
        const model = basename(modelId);
        results.push({
          model,
          result: await measure(page, request, Number(values.rounds), Number(values.prefill)),
        });
      } finally {
        await page.close();
      }
    }
  } finally {
    hub.close();
    await server.close();
  }
  const summaries = results.map(({ model, result }) => ({ model, ...summarize(result) }));
  console.table(summaries.flatMap(({ model, figures }) => toRows(model, figures)));
  await writeReport(values.out, {
    goals: summaries.flatMap((summary) => toGoals(`${summary.model} ${values.dtype}`, summary)),
    dtype: values.dtype,
    sampled: values.sample,
    summaries,
    results,
  });
}

/** What one model gave. */
interface DecodeResult {
  readonly rounds: readonly DecodeRound[];
  /** Null where the context is shorter. */
  readonly prefill: { readonly tokens: number; readonly rounds: readonly PrefillRound[] } | null;
}

const CONTENDERS = ['tokenLoop', 'transformersOverOurs', 'plainSession'] as const;

/** The contenders take turns; the first turn of each compiles kernels and does not count. */
async function measure(
  page: BenchPage,
  request: DecodeRequest,
  roundCount: number,
  prefillTokens: number,
): Promise<DecodeResult> {
  const name = basename(request.modelId);
  const contextTokens = (await page.call('open', request)) as number;
  const rounds: DecodeRound[] = [];
  for (let index = 0; index <= roundCount; index++) {
    for (const contender of CONTENDERS) {
      const one = (await page.call('decode', contender, index)) as DecodeRound;
      console.log(`  ${name}, round ${index}: ${contender} ${round(one.tokensPerSecond)} tokens/s`);
      if (index > 0) rounds.push(one);
    }
  }
  const prefills: PrefillRound[] = [];
  for (let index = 0; prefillTokens < contextTokens && index <= roundCount; index++) {
    const one = (await page.call('prefill', prefillTokens, index)) as PrefillRound;
    console.log(`  ${name}, prefill ${index}: ours ${round(one.oursMs)} ms, plain session ${round(one.plainMs)} ms`);
    if (index > 0) prefills.push(one);
  }
  await page.call('close');
  return { rounds, prefill: prefills.length > 0 ? { tokens: prefillTokens, rounds: prefills } : null };
}

interface Summary {
  readonly figures: Readonly<Record<Contender, Figures>>;
  readonly sameIds: boolean;
  readonly prefill: { readonly tokens: number; readonly oursMs: number; readonly plainMs: number } | null;
}

function summarize({ rounds, prefill }: DecodeResult): Summary {
  const of = (name: Contender, key: 'tokensPerSecond' | 'scriptMs' | 'runMs' | 'firstTokenMs'): number =>
    median(rounds.filter(({ contender }) => contender === name).map((one) => one[key] ?? NaN));
  const figures = (name: Contender): Figures => ({
    tokensPerSecond: of(name, 'tokensPerSecond'),
    scriptMs: of(name, 'scriptMs'),
    runMs: name === 'tokenLoop' ? null : of(name, 'runMs'),
    firstTokenMs: of(name, 'firstTokenMs'),
  });
  const all = {
    tokenLoop: figures('tokenLoop'),
    transformersOverOurs: figures('transformersOverOurs'),
    plainSession: figures('plainSession'),
  };
  const idsOf = (name: string): string =>
    JSON.stringify(rounds.filter(({ contender }) => contender === name).map(({ ids }) => ids));
  return {
    figures: all,
    sameIds: new Set(Object.keys(all).map(idsOf)).size === 1,
    prefill: prefill && {
      tokens: prefill.tokens,
      oursMs: median(prefill.rounds.map(({ oursMs }) => oursMs)),
      plainMs: median(prefill.rounds.map(({ plainMs }) => plainMs)),
    },
  };
}

function toRows(model: string, figures: Summary['figures']): object[] {
  return Object.entries(figures).map(([contender, { tokensPerSecond, scriptMs, runMs, firstTokenMs }]) => ({
    model,
    contender,
    'tokens/s': round(tokensPerSecond),
    'script ms': round(scriptMs),
    'run ms': runMs === null ? '' : round(runMs),
    'first token ms': round(firstTokenMs),
  }));
}

function toGoals(name: string, { figures, prefill, sameIds }: Summary): Goal[] {
  const { tokenLoop, plainSession } = figures;
  const speed = tokenLoop.tokensPerSecond / plainSession.tokensPerSecond;
  const goals: Goal[] = [
    { figure: `${name}: tokens/s ÷ plain session's`, value: round(speed), goal: '≥ 1.3', met: speed >= 1.3 },
    {
      figure: `${name}: script ms a step`,
      value: round(tokenLoop.scriptMs),
      goal: '≤ 1',
      met: tokenLoop.scriptMs <= 1,
    },
    { figure: `${name}: same greedy ids`, value: Number(sameIds), goal: '1', met: sameIds },
  ];
  if (prefill) {
    const ratio = prefill.plainMs / prefill.oursMs;
    goals.push({
      figure: `${name}: prefill of ${prefill.tokens}, speed ÷ plain session's`,
      value: round(ratio),
      goal: '≥ 1.0',
      met: ratio >= 1,
    });
  }
  return goals;
}
