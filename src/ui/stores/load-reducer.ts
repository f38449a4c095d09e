/**
 * The feed of load events becomes the rows that the page shows.
 *
 * In: a state and one event. Out: the next state; nothing is changed in place.
 * Guarantees, whatever the feed does: a row's bytes never fall, its total never shrinks, a row that ended stays ended, unless
 * the feed says that its stage begins anew; and after the end of a load nothing changes any more.
 */
import { STAGES, type LoadErrorData, type Stage } from '../../contract/errors.ts';
import type { LoadEvent, PlanSummary } from '../../contract/load.ts';
import { formatPercent } from '../format.ts';
import { stageWords } from '../stages.ts';

/** How far a stage is. */
export type RowState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled' | 'paused';

/** A point of the progress curve. */
interface RateSample {
  readonly atMs: number;
  readonly doneBytes: number;
}

/** One stage as the page shows it. Times are ms since the load began. */
export interface StageRow {
  readonly stage: Stage;
  readonly state: RowState;
  readonly startMs: number | null;
  readonly endMs: number | null;
  readonly doneBytes: number;
  /** Zero where the stage counts no bytes, or not yet. */
  readonly totalBytes: number;
  readonly networkBytes: number;
  readonly note: string | null;
  /** The last seconds of progress, oldest first: what the current rate is computed from. */
  readonly samples: readonly RateSample[];
}

/** How far the load is as a whole. */
export type LoadPhase = 'idle' | 'planning' | 'planned' | 'loading' | 'ready' | 'failed' | 'cancelled' | 'paused';

/** Everything that the feed said so far. */
export interface LoadState {
  readonly phase: LoadPhase;
  readonly rows: readonly StageRow[];
  readonly plan: PlanSummary | null;
  readonly notices: readonly { readonly stage: Stage; readonly message: string }[];
  readonly error: LoadErrorData | null;
  /** The time of the latest event. */
  readonly atMs: number;
}

/** Long enough to be steady, short enough to notice a stall. */
const RATE_WINDOW_MS = 2500;

/** The state before anything was asked for. */
export function createLoadState(phase: LoadPhase = 'idle'): LoadState {
  return { phase, rows: STAGES.map(createRow), plan: null, notices: [], error: null, atMs: 0 };
}

/** The state after `event`. */
export function reduceLoad(state: LoadState, event: LoadEvent): LoadState {
  if (state.phase !== 'loading' && state.phase !== 'planning') return state;
  const next = { ...state, atMs: Math.max(state.atMs, event.atMs) };
  switch (event.type) {
    case 'stageStart':
      return withRow(next, event.stage, (row) => startRow(row, event.atMs));
    case 'progress':
      return withRow(next, event.stage, (row) => advanceRow(startRow(row, event.atMs), event));
    case 'stageEnd':
      return withRow(next, event.stage, (row) => endRow(startRow(row, event.atMs), 'done', event.atMs, event.note));
    case 'plan':
      return { ...next, plan: event.plan };
    case 'restart':
      return { ...next, rows: restartRows(next.rows, event.stage) };
    case 'notice':
      return { ...next, notices: [...next.notices, { stage: event.stage, message: event.message }] };
    case 'ready':
      return { ...endRunning(next, 'done'), phase: 'ready' };
    case 'failed':
      return { ...failRows(next, event.error.stage), phase: 'failed', error: event.error };
    case 'cancelled':
      return { ...endRunning(next, 'cancelled'), phase: 'cancelled' };
  }
}

/** A plan that was asked for alone is made: its stages are done, the others never begin. */
export function endPlanning(state: LoadState, atMs: number): LoadState {
  return state.phase === 'planning' ? { ...state, phase: 'planned', atMs: Math.max(state.atMs, atMs) } : state;
}

/**
 * A load that was cancelled in order to go on later: what stopped is shown as paused, and the fetch stage says how much is on
 * disk already. Any other state stays as it is.
 */
export function pauseLoad(state: LoadState): LoadState {
  if (state.phase !== 'cancelled') return state;
  const rows = state.rows.map((row): StageRow => {
    if (row.state !== 'cancelled') return row;
    return { ...row, state: 'paused', note: row.stage === 'fetch' ? describePause(row) : row.note };
  });
  return { ...state, phase: 'paused', rows };
}

/** Bytes a second: over the last seconds while running, over the whole stage afterwards; null where unknown. */
export function rowRate(row: StageRow, nowMs: number): number | null {
  if (row.totalBytes === 0 || row.startMs === null) return null;
  if (row.state !== 'running') {
    const durationMs = (row.endMs ?? row.startMs) - row.startMs;
    return durationMs > 0 && row.doneBytes > 0 ? (row.doneBytes * 1000) / durationMs : null;
  }
  const oldest = row.samples[0];
  if (oldest === undefined) return null;
  // Measured up to now, not to the last event, so that a stalled download is seen to slow down.
  const spanMs = Math.max(nowMs, row.samples.at(-1)?.atMs ?? 0) - oldest.atMs;
  return spanMs >= 50 ? ((row.doneBytes - oldest.doneBytes) * 1000) / spanMs : null;
}

/** How much of a row is done, 0 to 1; null where it runs without counting bytes. */
export function rowFraction(row: StageRow): number | null {
  if (row.state === 'done') return 1;
  if (row.totalBytes > 0) return Math.min(1, row.doneBytes / row.totalBytes);
  return row.state === 'running' ? null : 0;
}

/** How far the load is as a whole, 0 to 1; it falls only where stages begin anew. For a picture, not for an estimate of time. */
export function loadFraction(state: LoadState): number {
  if (state.phase === 'ready') return 1;
  if (state.phase !== 'loading' && state.phase !== 'paused') return 0;
  return state.rows.reduce((sum, row) => sum + stageWords(row.stage).share * (rowFraction(row) ?? 0), 0);
}

function describePause(row: StageRow): string {
  return row.totalBytes === 0 ? 'paused' : `paused, ${formatPercent(row.doneBytes / row.totalBytes)} on disk`;
}

function createRow(stage: Stage): StageRow {
  return {
    stage,
    state: 'waiting',
    startMs: null,
    endMs: null,
    doneBytes: 0,
    totalBytes: 0,
    networkBytes: 0,
    note: null,
    samples: [],
  };
}

/** Rows are in the order of the stages. The plan before stays in view until there is the next one. */
function restartRows(rows: readonly StageRow[], from: Stage): readonly StageRow[] {
  const first = rows.findIndex(({ stage }) => stage === from);
  return rows.map((row, index) => (index < first ? row : createRow(row.stage)));
}

function withRow(state: LoadState, stage: Stage, change: (row: StageRow) => StageRow): LoadState {
  return { ...state, rows: state.rows.map((row) => (row.stage === stage ? change(row) : row)) };
}

function startRow(row: StageRow, atMs: number): StageRow {
  return row.state === 'waiting' ? { ...row, state: 'running', startMs: atMs } : row;
}

function advanceRow(row: StageRow, event: Extract<LoadEvent, { type: 'progress' }>): StageRow {
  if (row.state !== 'running') return row;
  const totalBytes = Math.max(row.totalBytes, event.totalBytes);
  const doneBytes = Math.min(totalBytes, Math.max(row.doneBytes, event.doneBytes));
  const samples = [...row.samples, { atMs: event.atMs, doneBytes }];
  return {
    ...row,
    doneBytes,
    totalBytes,
    networkBytes: Math.max(row.networkBytes, event.networkBytes),
    samples: samples.filter(
      (sample, index) => index === samples.length - 1 || sample.atMs >= event.atMs - RATE_WINDOW_MS,
    ),
  };
}

function endRow(row: StageRow, state: RowState, atMs: number, note: string | null): StageRow {
  if (row.state !== 'running') return row;
  const doneBytes = state === 'done' ? row.totalBytes : row.doneBytes;
  return { ...row, state, endMs: Math.max(atMs, row.startMs ?? 0), doneBytes, note: note ?? row.note, samples: [] };
}

function endRunning(state: LoadState, as: RowState): LoadState {
  return { ...state, rows: state.rows.map((row) => endRow(row, as, state.atMs, null)) };
}

/** The stage that failed is marked so, even if it had not begun; what ran beside it was cancelled by the failure. */
function failRows(state: LoadState, stage: Stage | null): LoadState {
  const marked =
    stage === null
      ? state
      : withRow(state, stage, (row) => endRow(startRow(row, state.atMs), 'failed', state.atMs, null));
  return endRunning(marked, stage === null ? 'failed' : 'cancelled');
}
