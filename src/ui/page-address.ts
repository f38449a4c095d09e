/**
 * What the page's own address asks for: `?model=…&dtype=…&device=…&revision=…&autoload=1`.
 *
 * In: a query string, written by anybody. Out: the values that are valid, and the names of those that were not.
 * Guarantees: never an endpoint or a token (a link must not point a visitor's token at somebody's server), and no
 * automatic load where anything was wrong.
 */
import { DEFAULT_ENDPOINT, findRevisionFault, readModelName } from '../contract/model-name.ts';
import type { Device, Dtype } from '../contract/plan.ts';

/** What is selectable as number format, `auto` first. */
export const DTYPE_CHOICES: readonly (Dtype | 'auto')[] = ['auto', 'fp32', 'fp16', 'q8', 'q4', 'q4f16'];

/** What is selectable as device, `auto` first. */
export const DEVICE_CHOICES: readonly (Device | 'auto')[] = ['auto', 'webgpu', 'wasm'];

/** A page address, read. */
export interface PageAddress {
  readonly modelId: string | null;
  readonly revision: string | null;
  readonly dtype: Dtype | 'auto' | null;
  readonly device: Device | 'auto' | null;
  readonly autoload: boolean;
  /** Parameters that were there but not valid. */
  readonly ignored: readonly string[];
}

/** Reads `location.search`. */
export function readPageAddress(search: string): PageAddress {
  const query = new URLSearchParams(search);
  const ignored: string[] = [];
  const take = <T>(name: string, accept: (value: string) => T | null): T | null => {
    const value = query.get(name)?.trim();
    if (value === undefined || value === '') return null;
    const accepted = accept(value);
    if (accepted === null) ignored.push(name);
    return accepted;
  };
  const name = take('model', (value) => {
    const read = readModelName(value, DEFAULT_ENDPOINT);
    return 'fault' in read ? null : read;
  });
  const modelId = name?.modelId ?? null;
  const named = name?.revision ?? null;
  const revision =
    take('revision', (value) => (findRevisionFault(value) === null && (named ?? value) === value ? value : null)) ??
    named;
  const dtype = take('dtype', (value) => DTYPE_CHOICES.find((choice) => choice === value) ?? null);
  const device = take('device', (value) => DEVICE_CHOICES.find((choice) => choice === value) ?? null);
  const autoload = query.get('autoload') === '1' && ignored.length === 0;
  return { modelId, revision, dtype, device, autoload, ignored };
}
