/**
 * Chooses tokens on the GPU: from logits in a buffer to the next run's inputs in buffers, and the id back to JavaScript.
 *
 * In: a device, and the decode step's buffers. Out: {@link TokenChooser}. Guarantees: nothing waits for JavaScript: a choice
 * is one submission, ordered by the device's queue behind the run that wrote the logits and before the run that reads the
 * token; the id arrives when the GPU has it. The kernels and their rules: `gpu-token-kernels.ts`.
 */
import { LoadError } from '../../contract/errors.ts';
import { MAX_FORBIDDEN_IDS } from '../decoder.ts';
import type { ChoiceRule, ChoiceStep } from '../decoder.ts';
import { GpuReadback } from './readback.ts';
import {
  ENTRY_POINTS,
  FEW_IDS,
  HISTOGRAM_BYTES,
  IDS_PER_THREAD,
  KEY_LEVELS,
  LIST_IDS,
  MAX_LISTED_TOP_K,
  PARAMS_BYTES,
  PHASE,
  STATE_BYTES,
  THREADS,
  TOKEN_KERNELS,
} from './token-kernels.ts';
import type { GpuContext } from './device.ts';

/** Buffers that the decode step's graph is bound to. */
export interface StepBuffers {
  readonly logits: GPUBuffer; // float32 [1, V]
  readonly inputIds: GPUBuffer; // int64 [1, 1]
  readonly seqlensK: GPUBuffer; // int32 [1]
  readonly totalSequenceLength: GPUBuffer; // int32 [1]
}

/** See the file's header. */
export interface TokenChooser {
  /** Begins a sequence: `ids` are what the repetition penalty counts as seen. */
  begin(ids: readonly number[], rule: ChoiceRule): void;
  /** Submits a choice; the id comes later. @throws LoadError `device_lost` */
  choose(step: ChoiceStep): Promise<number>;
  release(): void;
}

/** Shares of one, as the kernels take them. */
const WHOLE = 2 ** 32;

/** Below it exp() of any difference is 0 or 1 anyway, and the division leaves the range of float32. */
const SMALLEST_TEMPERATURE = 1e-6;

/** State before a choice: no best key, no token, no phase. */
const INITIAL_STATE = Uint32Array.of(0, 0, 0xffffffff, 3, 0, 0, 0, 0);

type Pipelines = Readonly<Record<(typeof ENTRY_POINTS)[number], GPUComputePipeline>>;

/** Compiles the kernels. @throws LoadError `runtime_failed` */
export async function createTokenChooser(gpu: GpuContext, vocabSize: number, step: StepBuffers): Promise<TokenChooser> {
  const { device, ledger } = gpu;
  const { pipelines, layout } = await compile(device);
  const make = (label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer =>
    ledger.createBuffer('staging', { label, size, usage: usage | GPUBufferUsage.COPY_DST });
  const params = make('choice params', PARAMS_BYTES, GPUBufferUsage.UNIFORM);
  const seen = make('seen ids', Math.ceil(vocabSize / 128) * 16, GPUBufferUsage.STORAGE);
  const bins = make('choice histogram', HISTOGRAM_BYTES, GPUBufferUsage.STORAGE);
  const state = make('choice state', STATE_BYTES, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
  const groups = Math.ceil(vocabSize / (THREADS * IDS_PER_THREAD));
  const scratch = make('choice scratch', (groups * THREADS + LIST_IDS) * 4, GPUBufferUsage.STORAGE);
  const readback = new GpuReadback(gpu);
  const group = device.createBindGroup({
    layout,
    entries: [
      params,
      step.logits,
      seen,
      bins,
      state,
      step.inputIds,
      step.seqlensK,
      step.totalSequenceLength,
      scratch,
    ].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });

  // Ids have 8 bits a level, too.
  const idLevels = Math.max(1, Math.ceil(Math.log2(vocabSize) / 8));
  const values = new Uint32Array(PARAMS_BYTES / 4);
  const floats = new Float32Array(values.buffer);
  let rule: ChoiceRule = { repetitionPenalty: 1, sampling: null, forbiddenIds: [] };
  let dispatches: readonly Dispatch[] = GREEDY;

  return {
    begin(ids, newRule) {
      rule = newRule;
      if (rule.forbiddenIds.length > MAX_FORBIDDEN_IDS) {
        throw new LoadError('internal', { message: `${rule.forbiddenIds.length} ids to forbid are too many` });
      }
      const { sampling } = rule;
      const topK = sampling && sampling.topK < vocabSize ? sampling.topK : 0;
      const topPShare = sampling && sampling.topP < 1 ? Math.max(1, toShare(sampling.topP)) : 0;
      values[0] = vocabSize;
      floats[2] = rule.repetitionPenalty;
      floats[3] = Math.max(SMALLEST_TEMPERATURE, sampling?.temperature ?? 1);
      values[4] = topK;
      values[5] = topPShare;
      values[7] = topK > 0 ? PHASE.topK : topPShare > 0 ? PHASE.topP : PHASE.draw;
      values[8] = KEY_LEVELS + idLevels;
      values[10] = groups * THREADS;
      const listed = vocabSize > FEW_IDS && topK > 0 && topK <= MAX_LISTED_TOP_K;
      values[11] = listed ? 1 : 0;
      values.set(rule.forbiddenIds, 12);
      if (sampling === null) dispatches = GREEDY;
      else if (listed) dispatches = LISTED;
      else if (vocabSize <= FEW_IDS) dispatches = FEW;
      else
        dispatches = listLevels((topK > 0 ? KEY_LEVELS : 0) + (topPShare > 0 ? KEY_LEVELS : 0) + KEY_LEVELS + idLevels);
      device.queue.writeBuffer(seen, 0, toBitmap(ids, seen.size / 4));
      device.queue.writeBuffer(state, 0, INITIAL_STATE);
    },
    choose({ position, draw, forbid }) {
      values[1] = position;
      values[6] = toShare(draw);
      values[9] = forbid ? rule.forbiddenIds.length : 0;
      device.queue.writeBuffer(params, 0, values);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setBindGroup(0, group);
      for (const { kernel, wide } of dispatches) {
        pass.setPipeline(pipelines[kernel]);
        pass.dispatchWorkgroups(wide ? groups : 1);
      }
      pass.end();
      const slot = readback.copy(encoder, state);
      device.queue.submit([encoder.finish()]);
      return slot.read();
    },
    release() {
      readback.release();
      for (const buffer of [params, seen, bins, state, scratch]) buffer.destroy();
    },
  };
}

/** One kernel of a choice; wide ones look at every id. */
interface Dispatch {
  readonly kernel: (typeof ENTRY_POINTS)[number];
  readonly wide: boolean;
}

const FIND_BEST: Dispatch = { kernel: 'findBest', wide: true };
const COMMIT: Dispatch = { kernel: 'commit', wide: false };
const FINISH: Dispatch = { kernel: 'finish', wide: false };
const GREEDY: readonly Dispatch[] = [FIND_BEST, { kernel: 'takeBest', wide: true }, COMMIT];
const FEW: readonly Dispatch[] = [FIND_BEST, FINISH];
const LISTED: readonly Dispatch[] = [
  FIND_BEST,
  { kernel: 'findThreshold', wide: false },
  { kernel: 'gather', wide: true },
  FINISH,
];

function listLevels(levels: number): readonly Dispatch[] {
  const level: readonly Dispatch[] = [
    { kernel: 'histogram', wide: true },
    { kernel: 'descend', wide: false },
  ];
  return [FIND_BEST, ...Array.from({ length: levels }, () => level).flat(), COMMIT];
}

async function compile(device: GPUDevice): Promise<{ pipelines: Pipelines; layout: GPUBindGroupLayout }> {
  const types: GPUBufferBindingType[] = ['uniform', 'read-only-storage', ...Array<'storage'>(7).fill('storage')];
  const layout = device.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } })),
  });
  const module = device.createShaderModule({ label: 'token kernels', code: TOKEN_KERNELS });
  const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
  const compiled = await Promise.all(
    ENTRY_POINTS.map(async (entryPoint) => {
      const compute = { module, entryPoint };
      return [entryPoint, await device.createComputePipelineAsync({ layout: pipelineLayout, compute })] as const;
    }),
  );
  return { pipelines: Object.fromEntries(compiled) as unknown as Pipelines, layout };
}

/** A share of 2^32, less than all of it. */
function toShare(share: number): number {
  return Math.min(WHOLE - 1, Math.floor(share * WHOLE));
}

/** One bit an id. */
function toBitmap(ids: readonly number[], wordCount: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(wordCount);
  for (const id of ids) {
    const word = Math.floor(id / 32);
    words[word] = (words[word] ?? 0) | (1 << (id % 32));
  }
  return words;
}
