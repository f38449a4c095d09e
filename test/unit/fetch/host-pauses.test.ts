import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { HostPauses } from '../../../src/pipeline/fetch/host-pauses.ts';

const HOST = 'https://hub.test';
const FILE = `${HOST}/a/b/resolve/main/model.safetensors`;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('a host that asks for a pause has it from all loads; each that has to wait is told so once, and no other', () => {
  const ends = vi.fn();
  const pauses = new HostPauses(ends);
  const notices: string[] = [];
  const [refused, waiting, elsewhere] = ['refused', 'waiting', 'elsewhere'].map((name) =>
    pauses.openFor((message) => notices.push(`${name}: ${message}`)),
  );
  refused?.pause(HOST, 5_000, 'asked to wait');
  expect(waiting?.isPaused(FILE)).toBe(true);
  expect(waiting?.isPaused(FILE)).toBe(true);
  expect(refused?.isPaused(FILE)).toBe(true);
  expect(elsewhere?.isPaused('https://other.test/model.safetensors')).toBe(false);
  expect(notices).toEqual(['refused: asked to wait', 'waiting: asked to wait']);
  // A moment later a request that was under way is told the same.
  vi.advanceTimersByTime(100);
  waiting?.pause(HOST, 5_000, 'asked to wait');
  expect(notices).toHaveLength(2);
  refused?.pause(HOST, 60_000, 'asked to wait longer');
  expect(waiting?.isPaused(FILE)).toBe(true);
  expect(notices.slice(2)).toEqual(['refused: asked to wait longer', 'waiting: asked to wait longer']);
  vi.advanceTimersByTime(60_000);
  expect(ends).toHaveBeenCalled();
  expect(waiting?.isPaused(FILE)).toBe(false);
});
