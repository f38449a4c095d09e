/**
 * Typed access to config.json, which is anybody's text.
 *
 * In: the parsed object. Out: values of the asked type. Guarantees: what is of the wrong type or out of range is refused
 * with `config_invalid` that names the field, its value and what is expected. A field that is null counts as absent, as it
 * does for transformers.
 */
import { LoadError } from '../../contract/errors.ts';

/** config.json, parsed. */
export type Config = Readonly<Record<string, unknown>>;

/** A whole number of at least `min` (default 1); `fallback` where the field is absent, an error where there is none. */
export function readInteger(config: Config, field: string, options: { min?: number; fallback?: number } = {}): number {
  const { min = 1, fallback } = options;
  const value = config[field] ?? fallback;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min) {
    throw invalidConfig(field, config[field], `a whole number of at least ${min}`);
  }
  return value;
}

/** A finite number above zero. */
export function readPositive(config: Config, field: string, fallback?: number): number {
  const value = config[field] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw invalidConfig(field, config[field], 'a number above zero');
  }
  return value;
}

/** A finite number of at least zero. */
export function readNonNegative(config: Config, field: string, fallback?: number): number {
  const value = config[field] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw invalidConfig(field, config[field], 'a number of at least zero');
  }
  return value;
}

/** true or false. */
export function readBoolean(config: Config, field: string, fallback: boolean): boolean {
  const value = config[field] ?? fallback;
  if (typeof value !== 'boolean') throw invalidConfig(field, value, 'true or false');
  return value;
}

/** A nested object, or null where it is absent. */
export function readObject(config: Config, field: string): Config | null {
  const value = config[field] ?? null;
  if (value === null) return null;
  if (typeof value !== 'object' || Array.isArray(value)) throw invalidConfig(field, value, 'an object');
  return value as Config;
}

/** The error for a field whose value cannot be meant. */
export function invalidConfig(field: string, value: unknown, expected: string): LoadError {
  return new LoadError('config_invalid', {
    message: `The field ${field} is ${show(value)}, but must be ${expected}.`,
    detail: { field, value: toDetail(value), expected },
  });
}

/** The error for a field whose value is meant, but asks for something that our graphs do not have. */
export function unsupportedConfig(field: string, value: unknown, supported: string): LoadError {
  return new LoadError('unsupported_architecture', {
    message: `The field ${field} is ${show(value)}; supported is ${supported}.`,
    detail: { field, value: toDetail(value), supported },
  });
}

function show(value: unknown): string {
  if (value === undefined) return 'absent';
  return typeof value === 'number' ? String(value) : JSON.stringify(value).slice(0, 80);
}

/** NaN and infinity, which Python's JSON has and ours has not, become words. */
function toDetail(value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : (value ?? null);
}
