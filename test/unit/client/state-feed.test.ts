import { describe, expect, it, vi } from 'vitest';
import { StateFeed } from '../../../src/client/state-feed.ts';
import type { LoadReport, ModelInfo } from '../../../src/contract/load.ts';
import type { ModelState } from '../../../src/contract/model-state.ts';

const loaded = { info: { contextTokens: 1 } as ModelInfo, report: { totalMs: 1 } as LoadReport };
const rebuilt: ModelState = { status: 'ready', info: { contextTokens: 2 } as ModelInfo, report: {} as LoadReport };
const rebuilding = { status: 'rebuilding', attempt: 1 } as ModelState;

describe('StateFeed', () => {
  it('is ready with what was loaded, then with what was rebuilt; keeps both in between', () => {
    const feed = new StateFeed();
    feed.begin(loaded);
    expect(feed.state).toEqual({ status: 'ready', ...loaded });
    feed.push(rebuilding);
    expect([feed.state, feed.info.contextTokens]).toEqual([rebuilding, 1]);
    feed.push(rebuilt);
    expect(feed.info.contextTokens).toBe(2);
  });

  it('does not lose a state that came before the answer of the load', () => {
    const feed = new StateFeed();
    feed.push(rebuilding);
    feed.begin(loaded);
    expect(feed.state).toBe(rebuilding);
    expect(feed.info).toBe(loaded.info);
  });

  it('tells every listener until it is told to stop, also where one throws', () => {
    const report = vi.fn();
    vi.stubGlobal('reportError', report);
    const feed = new StateFeed();
    feed.begin(loaded);
    const heard: string[] = [];
    const listener = ({ status }: ModelState): void => void heard.push(status);
    feed.listen(() => {
      throw new Error('the page');
    });
    const stop = feed.listen(listener);
    feed.listen(listener);
    feed.push(rebuilding);
    stop();
    feed.push(rebuilt);
    expect(heard).toEqual(['rebuilding', 'rebuilding', 'ready']);
    expect(report).toHaveBeenCalledTimes(2);
    vi.unstubAllGlobals();
  });
});
