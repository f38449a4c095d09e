/**
 * ONNX bytes → lines of text, one for each input, initializer, node and output: what a golden file holds.
 */
import { fromBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  TensorProto_DataType as DataType,
  type AttributeProto,
  type ModelProto,
  type ValueInfoProto,
} from '../../../../src/onnx/generated/onnx_pb.js';

export function readModel(model: Uint8Array): ModelProto {
  return fromBinary(ModelProtoSchema, model);
}

export function describeGraph(model: Uint8Array): string {
  const { graph } = readModel(model);
  if (!graph) throw new Error('the model has no graph');
  return [
    `graph ${graph.name}`,
    ...graph.input.map((input) => `input ${describeValue(input)}`),
    ...graph.initializer.map((tensor) => {
      const file = tensor.externalData.map(({ key, value }) => `${key}=${value}`).join(' ');
      return `initializer ${tensor.name} ${DataType[tensor.dataType] ?? '?'} [${tensor.dims.join(', ')}] ${file}`.trimEnd();
    }),
    ...graph.node.map((node) => {
      const domain = node.domain === '' ? '' : `${node.domain}.`;
      const attributes = node.attribute.map(describeAttribute).join(', ');
      return [
        `node ${node.name}`,
        `  ${domain}${node.opType}${attributes && ` {${attributes}}`}`,
        `  (${node.input.map((name) => name || '-').join(', ')})`,
        `  → ${node.output.map((name) => name || '-').join(', ')}`,
      ].join('\n');
    }),
    ...graph.output.map((output) => `output ${describeValue(output)}`),
    '',
  ].join('\n');
}

function describeValue({ name, type }: ValueInfoProto): string {
  if (type?.value.case !== 'tensorType') throw new Error(`${name} is no tensor`);
  const { elemType, shape } = type.value.value;
  return `${name} ${DataType[elemType] ?? '?'} [${shape?.dim.map((dim) => String(dim.value.value)).join(', ') ?? ''}]`;
}

function describeAttribute({ name, type, f, i, s }: AttributeProto): string {
  if (type === AttributeType.INT) return `${name}: ${i}`;
  if (type === AttributeType.FLOAT) return `${name}: ${f.toPrecision(6)}`;
  if (type === AttributeType.STRING) return `${name}: ${new TextDecoder().decode(s)}`;
  throw new Error(`attribute ${name} has a type that is not written`);
}
