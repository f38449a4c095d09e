/**
 * Which fields of a config.json were read, so that none that changes the mathematics is passed over in silence.
 *
 * In: the parsed config. Out: the same, recording; and the fields that nobody asked for. Guarantee: reading is all that it takes
 * to be recorded, also inside of nested objects (`rope_scaling.factor`); a list counts as read as a whole.
 */
import type { Config } from './config-reader.ts';

/** See the file's header. */
export interface RecordedConfig {
  readonly config: Config;
  /** Fields that hold something and were not read, e.g. `rope_scaling.beta_fast`. */
  listUnread(): readonly { readonly field: string; readonly value: unknown }[];
}

/** Records what is read of `config`. */
export function recordConfig(config: Config): RecordedConfig {
  const read = new Set<string>();
  const watch = (object: Config, prefix: string): Config =>
    new Proxy(object, {
      get(target, key) {
        const value = Reflect.get(target, key) as unknown;
        if (typeof key !== 'string') return value;
        read.add(prefix + key);
        return isObject(value) ? watch(value, `${prefix}${key}.`) : value;
      },
    });
  const listUnread = (object: Config, prefix: string): { field: string; value: unknown }[] =>
    Object.entries(object).flatMap(([key, value]) => {
      const field = prefix + key;
      if (isEmpty(value)) return [];
      if (!read.has(field)) return [{ field, value }];
      return isObject(value) ? listUnread(value, `${field}.`) : [];
    });
  return { config: watch(config, ''), listUnread: () => listUnread(config, '') };
}

/** What says nothing, or says no. */
function isEmpty(value: unknown): boolean {
  if (value === null || value === false || value === '') return true;
  return value === undefined || (typeof value === 'object' && Object.keys(value).length === 0);
}

function isObject(value: unknown): value is Config {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
