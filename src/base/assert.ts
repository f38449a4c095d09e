/**
 * Checks for what only a bug of ours can break. Bad input gets a typed LoadError instead.
 */
import { LoadError } from '../contract/errors.ts';

/** Throws `internal` unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new LoadError('internal', { message });
}

/** For the default branch of a switch over a closed union. */
export function unreachable(value: never): never {
  throw new LoadError('internal', { message: `unexpected value ${String(value)}` });
}
