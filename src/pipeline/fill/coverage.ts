/**
 * Which bytes of which buffers were written: proof that a fill left nothing out and wrote nothing twice.
 */
import { LoadError } from '../../contract/errors.ts';
import type { WeightBuffer } from '../../contract/plan.ts';

interface Range {
  start: number;
  end: number;
}

/** The account of a fill over a fixed set of buffers. */
export class Coverage {
  readonly #sizes: ReadonlyMap<string, number>;
  /** Per buffer: disjoint, sorted, neighbours merged. A handful each, because tensors arrive in order. */
  readonly #written = new Map<string, Range[]>();

  constructor(buffers: readonly WeightBuffer[]) {
    this.#sizes = new Map(buffers.map(({ name, sizeBytes }) => [name, sizeBytes]));
  }

  sizeOf(buffer: string): number {
    const sizeBytes = this.#sizes.get(buffer);
    if (sizeBytes === undefined) throw fault(`there is no buffer ${buffer}`, { buffer });
    return sizeBytes;
  }

  /** Notes `[start, end)`. @throws LoadError `internal` where it lies outside the buffer or was written before */
  add(buffer: string, start: number, end: number): void {
    if (start < 0 || end > this.sizeOf(buffer)) throw fault(`bytes outside ${buffer}`, { buffer, start, end });
    if (start === end) return;
    const ranges = this.#written.get(buffer) ?? [];
    this.#written.set(buffer, ranges);
    const found = ranges.findIndex((range) => range.end >= start);
    const at = found === -1 ? ranges.length : found;
    const left = ranges[at]?.end === start ? ranges[at] : undefined;
    const right = ranges[left ? at + 1 : at];
    if (right && right.start < end) throw fault(`bytes of ${buffer} were written twice`, { buffer, start, end });
    if (left && right?.start === end) {
      left.end = right.end;
      ranges.splice(at + 1, 1);
    } else if (left) left.end = end;
    else if (right?.start === end) right.start = start;
    else ranges.splice(at, 0, { start, end });
  }

  /** @throws LoadError `internal`, naming every buffer that is not full */
  assertComplete(): void {
    const incomplete = [...this.#sizes]
      .filter(([name, sizeBytes]) => {
        const ranges = this.#written.get(name) ?? [];
        return sizeBytes > 0 && !(ranges.length === 1 && ranges[0]?.start === 0 && ranges[0].end === sizeBytes);
      })
      .map(([name]) => name);
    if (incomplete.length > 0) {
      throw fault(`these weight buffers were not filled: ${incomplete.join(', ')}`, { incomplete });
    }
  }
}

function fault(message: string, detail: Record<string, unknown>): LoadError {
  return new LoadError('internal', { message: `Filling weights: ${message}.`, detail });
}
