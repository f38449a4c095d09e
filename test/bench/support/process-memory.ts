/**
 * How much memory a browser's processes take, as the kernel counts it (Linux). In: the profile folder that their command
 * lines name. Out: bytes that no file backs (Pss_Anon + Pss_Shmem of /proc/<pid>/smaps_rollup: what processes share counts
 * once). The GPU process is left out: on a software GPU the device's memory is in there.
 */
import { readdir, readFile } from 'node:fs/promises';

/** Peak over the time of the watch, and what was there at its start. */
export interface MemoryWatch {
  /** Ends the watch. */
  stop(): Promise<{ readonly startBytes: number; readonly peakBytes: number }>;
}

/** Begins once the processes are at rest. Null where the kernel does not tell. */
export async function watchMemory(profileDir: string): Promise<MemoryWatch | null> {
  const processIds = await findProcesses(profileDir);
  if (processIds.length === 0) return null;
  const startBytes = await waitForRest(processIds);
  let peakBytes = startBytes;
  const stop = { asked: false };
  const watching = (async () => {
    while (!stop.asked) {
      peakBytes = Math.max(peakBytes, await sumBytes(processIds));
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_INTERVAL_MS));
    }
  })();
  return {
    async stop() {
      stop.asked = true;
      await watching;
      return { startBytes, peakBytes };
    },
  };
}

const SAMPLE_INTERVAL_MS = 50;

/** A browser that has just started fills pages of its own for some seconds: these are not what is measured. */
async function waitForRest(processIds: readonly string[]): Promise<number> {
  let bytes = await sumBytes(processIds);
  for (let calmSamples = 0, samples = 0; calmSamples < 10 && samples < 100; samples++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const now = await sumBytes(processIds);
    calmSamples = Math.abs(now - bytes) < 500_000 ? calmSamples + 1 : 0;
    bytes = now;
  }
  return bytes;
}

async function findProcesses(profileDir: string): Promise<readonly string[]> {
  const entries = await readdir('/proc').catch(() => []);
  const found: string[] = [];
  const parents = new Map<string, string>();
  const gpuProcesses = new Set<string>();
  for (const processId of entries.filter((name) => /^\d+$/u.test(name))) {
    const commandLine = await readFile(`/proc/${processId}/cmdline`, 'utf8').catch(() => '');
    const status = await readFile(`/proc/${processId}/status`, 'utf8').catch(() => '');
    parents.set(processId, /^PPid:\s+(\d+)/mu.exec(status)?.[1] ?? '');
    if (commandLine.includes(profileDir)) found.push(processId);
    if (commandLine.includes('--type=gpu-process')) gpuProcesses.add(processId);
  }
  // Renderers are children of the browser, or of its zygote, and need not name the profile.
  for (let grown = true; grown;) {
    const children = [...parents].filter(([id, parent]) => found.includes(parent) && !found.includes(id));
    found.push(...children.map(([id]) => id));
    grown = children.length > 0;
  }
  return found.filter((processId) => !gpuProcesses.has(processId));
}

async function sumBytes(processIds: readonly string[]): Promise<number> {
  const each = await Promise.all(
    processIds.map(async (processId) => {
      const rollup = await readFile(`/proc/${processId}/smaps_rollup`, 'utf8').catch(() => '');
      const kilobytes = ['Pss_Anon', 'Pss_Shmem'].map((field) =>
        Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'mu').exec(rollup)?.[1] ?? 0),
      );
      return kilobytes.reduce((sum, value) => sum + 1024 * value, 0);
    }),
  );
  return each.reduce((sum, value) => sum + value, 0);
}
