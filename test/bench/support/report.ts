/**
 * What a benchmark leaves: a table for people, JSON for programs. In: rows and whatever else was measured. Out: both.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where reports go unless they are sent elsewhere; git ignores it. */
export const REPORT_FOLDER = fileURLToPath(new URL('../../../test-results/bench/', import.meta.url));

/** A figure with what it should be. */
export interface Goal {
  readonly figure: string;
  readonly value: number;
  readonly goal: string;
  readonly met: boolean;
}

/** Prints the tables and writes the file. */
export async function writeReport(
  path: string,
  report: { readonly goals: readonly Goal[] } & Readonly<Record<string, unknown>>,
): Promise<void> {
  const { goals } = report;
  if (goals.length > 0) {
    console.table(goals.map(({ figure, value, goal, met }) => ({ figure, value, goal, met: met ? 'yes' : 'NO' })));
  }
  const machine = { cores: cpus().length, cpu: cpus()[0]?.model ?? '', memoryBytes: totalmem() };
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify({ at: new Date().toISOString(), machine, ...report }, null, 2)}\n`);
  console.log(`written to ${path}`);
}
