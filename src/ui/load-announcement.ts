/**
 * What a screen reader is told about a load.
 *
 * In: the state of the load. Out: one sentence.
 * Guarantees: it changes when a stage begins or ends, never with every byte, so that nobody is talked over.
 */
import { stageWords } from './stages.ts';
import type { LoadState } from './stores/load-reducer.ts';

/** The state in one sentence. */
export function describeLoad(state: LoadState): string {
  switch (state.phase) {
    case 'idle':
      return '';
    case 'ready':
      return 'The model is ready.';
    case 'cancelled':
      return 'The load was cancelled.';
    case 'paused': {
      const note = state.rows.find((row) => row.stage === 'fetch')?.note;
      return `The load is ${note ?? 'paused'}. Resume goes on from there.`;
    }
    case 'failed':
      // The error card is an alert of its own.
      return '';
    case 'planned':
      return 'The plan is made.';
    case 'planning':
    case 'loading': {
      const latest = state.rows.findLast((row) => row.state === 'running');
      return latest === undefined
        ? state.phase === 'planning'
          ? 'Planning.'
          : 'Loading.'
        : `${stageWords(latest.stage).name} is running.`;
    }
  }
}
