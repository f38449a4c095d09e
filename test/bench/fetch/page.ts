/** Hands the benchmark's worker to whoever drives the page. */
import * as Comlink from 'comlink';
import { serveCalls } from '../support/page-link.ts';
import type { BenchWorker } from './bench.worker.ts';

const worker = Comlink.wrap<BenchWorker>(new Worker(new URL('./bench.worker.ts', import.meta.url), { type: 'module' }));
void serveCalls({
  open: (endpoint: string, modelId: string) => worker.open(endpoint, modelId),
  download: () => worker.download(),
  plain: (urls: readonly string[]) => worker.plain(urls),
  floors: (sizeBytes: number) => worker.floors(sizeBytes),
});
