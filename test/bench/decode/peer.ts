/**
 * The peer of the benchmark: transformers.js's own `generate()` over a plain onnxruntime-web session of the same graph, with
 * the weights as initializers and a KV cache that grows, kept on the GPU as transformers.js keeps it.
 *
 * transformers.js gives such a session an attention mask; our graph takes the two lengths that exporters derive from it. They
 * are given by a few lines around `run`, which costs the peer nothing.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { InferenceSession, Tensor } from 'onnxruntime-web';
import type { LoadPlan } from '../../../src/contract/plan.ts';
import { ModelProtoSchema, TensorProto_DataLocation } from '../../../src/onnx/generated/onnx_pb.js';
import { ONNX_TYPE } from '../../../src/onnx/graph-builder.ts';
import { listGraphTensors } from '../../../src/base/weight-tensors.ts';
import { GRAPH_IO } from '../../../src/contract/graph-io.ts';
import { makeEmptyCache } from '../../../src/runtime/ort/cache-tensor.ts';
import type { Ort } from '../../../src/runtime/ort/onnxruntime.ts';

/** What transformers.js takes for a session. */
export async function createPeerSession(
  ort: Ort,
  plan: LoadPlan,
  graph: Uint8Array<ArrayBuffer>,
  weights: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
) {
  const { caches } = plan;
  const session = await ort.InferenceSession.create(toInitializers(graph, plan), {
    executionProviders: ['webgpu'],
    externalData: [...weights].map(([path, data]) => ({ path, data })),
    preferredOutputLocation: Object.fromEntries(caches.map(({ present }) => [present, 'gpu-buffer' as const])),
  });
  const inputNames = [GRAPH_IO.inputIds, ...caches.map(({ past }) => past)];
  return {
    inputNames,
    outputNames: session.outputNames,
    inputMetadata: session.inputMetadata.filter(({ name }) => inputNames.includes(name)),
    config: { dtype: 'fp32', device: 'webgpu', kv_cache_dtype: plan.activationType },
    async run(feeds: Record<string, Tensor>): Promise<InferenceSession.ReturnType> {
      const past = feeds[caches[0]?.past ?? '']?.dims[2] ?? 0;
      const total = past + (feeds[GRAPH_IO.inputIds]?.dims[1] ?? 0);
      const outputs = await session.run({
        ...feeds,
        [GRAPH_IO.seqlensK]: new ort.Tensor('int32', Int32Array.of(total - 1), [1]),
        [GRAPH_IO.totalSequenceLength]: new ort.Tensor('int32', Int32Array.of(total), [1]),
      });
      // transformers.js wants [batch, positions, vocabulary].
      const logits = outputs[GRAPH_IO.logits]?.data as Float32Array;
      return { ...outputs, [GRAPH_IO.logits]: new ort.Tensor('float32', logits, [1, 1, logits.length]) };
    },
    /** A prompt into an empty cache; resolves when its logits are in JavaScript. */
    async prefill(ids: readonly number[]): Promise<void> {
      const outputs = await session.run({
        ...Object.fromEntries(caches.map((spec) => [spec.past, makeEmptyCache(ort, spec)])),
        [GRAPH_IO.inputIds]: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]),
        [GRAPH_IO.seqlensK]: new ort.Tensor('int32', Int32Array.of(ids.length - 1), [1]),
        [GRAPH_IO.totalSequenceLength]: new ort.Tensor('int32', Int32Array.of(ids.length), [1]),
      });
      for (const { present } of caches) outputs[present]?.dispose();
    },
    release: () => session.release(),
  };
}

/** The same graph, its weight inputs declared as initializers in external data. */
function toInitializers(graph: Uint8Array<ArrayBuffer>, { weights }: LoadPlan): Uint8Array<ArrayBuffer> {
  const model = fromBinary(ModelProtoSchema, graph);
  if (!model.graph) throw new Error('a model has a graph');
  const tensors = new Map(listGraphTensors(weights).map((tensor) => [tensor.name, tensor]));
  const sizes = new Map(weights.flatMap(({ buffers }) => buffers.map(({ name, sizeBytes }) => [name, sizeBytes])));
  for (const { name } of model.graph.input) {
    const tensor = tensors.get(name);
    if (!tensor) continue;
    const entries = { location: `./${tensor.buffer}`, offset: '0', length: String(sizes.get(tensor.buffer)) };
    model.graph.initializer.push({
      $typeName: 'onnx.TensorProto',
      name,
      dims: tensor.dims.map(BigInt),
      dataType: ONNX_TYPE[tensor.type],
      dataLocation: TensorProto_DataLocation.EXTERNAL,
      externalData: Object.entries(entries).map(([key, value]) => ({
        $typeName: 'onnx.StringStringEntryProto',
        key,
        value,
      })),
    } as unknown as (typeof model.graph.initializer)[number]);
  }
  model.graph.input = model.graph.input.filter(({ name }) => !tensors.has(name));
  return toBinary(ModelProtoSchema, model);
}
