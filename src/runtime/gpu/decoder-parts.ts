/**
 * What everything that runs a model on a GPU is made from: the decoder, its token loop, the skeleton, the first layer alone.
 */
import type { LoadPlan } from '../../contract/plan.ts';
import type { GpuBuffers } from './buffers.ts';
import type { GpuContext } from './device.ts';
import type { Ort } from '../ort/onnxruntime.ts';

/** See the file's header. */
export interface GpuDecoderParts {
  readonly ort: Ort;
  readonly gpu: GpuContext;
  readonly plan: LoadPlan;
  readonly graph: Uint8Array<ArrayBuffer>;
  readonly buffers: GpuBuffers;
}
