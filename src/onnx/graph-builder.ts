/**
 * Builds an ONNX graph as protobuf bytes.
 *
 * In: nodes, named and wired by the caller. Out: an encoded ModelProto with no weight values in it: weights are graph
 * inputs, or initializers whose bytes lie in named external files. Guarantees: every name is used once, every node input
 * was made by this builder, and no graph input is left unconsumed (onnxruntime copies such an input to the CPU on every
 * run, 0.85 ms each as measured).
 *
 * Nodes carry hierarchical names (`/model/layers.0/attn/o_proj/MatMul`) and their single output is `<name>/output_0`.
 * Constants are named by their value, so that asking twice for one yields the same initializer.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { assert, unreachable } from '../base/assert.ts';
import type { GraphTensorType } from '../contract/plan.ts';
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  type TensorProtoSchema,
  type ValueInfoProtoSchema,
  type NodeProtoSchema,
} from './generated/onnx_pb.js';

/** A value in the graph: what a node takes and gives. */
export interface Value {
  readonly name: string;
}

/** A dimension: a number, or the name of one that is known only at run time. */
export type Dim = number | string;

/** A node's attribute; made by {@link int}, {@link float} and {@link text}, since JavaScript tells no int from a float. */
export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string };

/** Types that {@link GraphBuilder.constant} writes. */
export type IntegerType = 'uint8' | 'int32' | 'int64';

/** What a node is besides its operator and inputs. */
export interface NodeOptions {
  /** Hierarchical and unique. */
  readonly name: string;
  /** Empty for ONNX's own operators. */
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Name of a single output; `<name>/output_0` unless a graph output needs its own. */
  readonly output?: string;
}

/** Numbers by which ONNX calls its element types, for attributes such as Cast's `to`. */
export const ONNX_TYPE = {
  float32: DataType.FLOAT,
  float16: DataType.FLOAT16,
  uint8: DataType.UINT8,
  int32: DataType.INT32,
  int64: DataType.INT64,
} as const satisfies Record<GraphTensorType, DataType>;

/** Where an initializer's bytes are: a file that the session mounts, and a byte range in it. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** Domain of onnxruntime's own operators. */
export const MICROSOFT_DOMAIN = 'com.microsoft';

/** ONNX opset of the graphs; every onnxruntime since 1.18 knows it. */
const ONNX_OPSET = 21;
/** ModelProto.ir_version that belongs to opset 21. */
const IR_VERSION = 10n;

/** An integer attribute. */
export function int(value: number): Attribute {
  return { kind: 'int', value };
}

/** A float32 attribute. */
export function float(value: number): Attribute {
  return { kind: 'float', value };
}

/** A string attribute. */
export function text(value: string): Attribute {
  return { kind: 'string', value };
}

/** A graph under construction; see the head of this file for what it guarantees. */
export class GraphBuilder {
  readonly #inputs: MessageInitShape<typeof ValueInfoProtoSchema>[] = [];
  readonly #outputs: MessageInitShape<typeof ValueInfoProtoSchema>[] = [];
  readonly #nodes: MessageInitShape<typeof NodeProtoSchema>[] = [];
  readonly #initializers: MessageInitShape<typeof TensorProtoSchema>[] = [];
  readonly #nodeNames = new Set<string>();
  readonly #valueNames = new Set<string>();
  readonly #consumed = new Set<string>();

  /** Declares a graph input. */
  input(name: string, type: GraphTensorType, dims: readonly Dim[]): Value {
    this.#inputs.push(toValueInfo(name, type, dims));
    return this.#define(name);
  }

  /** Declares that `value` is a graph output, under its own name. */
  output(value: Value, type: GraphTensorType, dims: readonly Dim[]): void {
    this.#consume(value);
    this.#outputs.push(toValueInfo(value.name, type, dims));
  }

  /** Declares an initializer whose bytes lie in an external file. */
  externalInitializer(name: string, type: GraphTensorType, dims: readonly number[], data: ExternalData): Value {
    this.#initializers.push({
      name,
      dataType: ONNX_TYPE[type],
      dims: dims.map(BigInt),
      dataLocation: DataLocation.EXTERNAL,
      externalData: [
        { key: 'location', value: data.location },
        { key: 'offset', value: String(data.offset) },
        { key: 'length', value: String(data.length) },
      ],
    });
    return this.#define(name);
  }

  /** A constant of whole numbers: one-dimensional, or a scalar where `values` is a number. */
  constant(type: IntegerType, values: readonly number[] | number): Value {
    const name = `/constants/${type}/${JSON.stringify(values)}`;
    if (this.#valueNames.has(name)) return { name };
    const list = typeof values === 'number' ? [values] : values;
    this.#initializers.push({
      name,
      dataType: ONNX_TYPE[type],
      dims: typeof values === 'number' ? [] : [BigInt(list.length)],
      rawData: encodeIntegers(type, list),
    });
    return this.#define(name);
  }

  /** Adds a node with one output. A null input is an optional one that is left out. */
  node(opType: string, inputs: readonly (Value | null)[], options: NodeOptions): Value {
    const name = options.output ?? `${options.name}/output_0`;
    this.#addNode(opType, inputs, [name], options);
    return { name };
  }

  /** Adds a node whose outputs the caller names; a null output is one that is not wanted. */
  nodeWithOutputs<const Names extends readonly (string | null)[]>(
    opType: string,
    inputs: readonly (Value | null)[],
    outputs: Names,
    options: Omit<NodeOptions, 'output'>,
  ): { readonly [Index in keyof Names]: Names[Index] extends string ? Value : null } {
    this.#addNode(opType, inputs, outputs, options);
    return outputs.map((name) => (name === null ? null : { name })) as {
      [Index in keyof Names]: Names[Index] extends string ? Value : null;
    };
  }

  /** The model, encoded. */
  build(graphName: string): Uint8Array<ArrayBuffer> {
    for (const input of this.#inputs) {
      assert(this.#consumed.has(input.name ?? ''), `graph input ${input.name} has no consumer`);
    }
    const model = create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: 'firstlight',
      opsetImport: [
        { domain: '', version: BigInt(ONNX_OPSET) },
        { domain: MICROSOFT_DOMAIN, version: 1n },
      ],
      graph: create(GraphProtoSchema, {
        name: graphName,
        node: this.#nodes,
        initializer: this.#initializers,
        input: this.#inputs,
        output: this.#outputs,
      }),
    });
    return toBinary(ModelProtoSchema, model);
  }

  #addNode(
    opType: string,
    inputs: readonly (Value | null)[],
    outputs: readonly (string | null)[],
    options: NodeOptions,
  ): void {
    assert(!this.#nodeNames.has(options.name), `two nodes are named ${options.name}`);
    this.#nodeNames.add(options.name);
    for (const input of inputs) if (input) this.#consume(input);
    for (const output of outputs) if (output !== null) this.#define(output);
    this.#nodes.push({
      opType,
      name: options.name,
      domain: options.domain ?? '',
      input: inputs.map((input) => input?.name ?? ''),
      output: outputs.map((output) => output ?? ''),
      attribute: Object.entries(options.attributes ?? {}).map(([name, attribute]) => toAttribute(name, attribute)),
    });
  }

  #define(name: string): Value {
    assert(name !== '' && !this.#valueNames.has(name), `two values are named '${name}'`);
    this.#valueNames.add(name);
    return { name };
  }

  #consume(value: Value): void {
    assert(this.#valueNames.has(value.name), `the graph has no value ${value.name}`);
    this.#consumed.add(value.name);
  }
}

function encodeIntegers(type: IntegerType, values: readonly number[]): Uint8Array<ArrayBuffer> {
  switch (type) {
    case 'uint8':
      return Uint8Array.from(values);
    case 'int32':
      return new Uint8Array(Int32Array.from(values).buffer);
    case 'int64':
      return new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    default:
      return unreachable(type);
  }
}

function toAttribute(name: string, attribute: Attribute): MessageInitShape<typeof AttributeProtoSchema> {
  switch (attribute.kind) {
    case 'int':
      return { name, type: AttributeType.INT, i: BigInt(attribute.value) };
    case 'float':
      return { name, type: AttributeType.FLOAT, f: attribute.value };
    case 'string':
      return { name, type: AttributeType.STRING, s: new TextEncoder().encode(attribute.value) };
    default:
      return unreachable(attribute);
  }
}

function toValueInfo(
  name: string,
  type: GraphTensorType,
  dims: readonly Dim[],
): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = dims.map((size) => ({
    value:
      typeof size === 'number'
        ? ({ case: 'dimValue', value: BigInt(size) } as const)
        : ({ case: 'dimParam', value: size } as const),
  }));
  return { name, type: { value: { case: 'tensorType', value: { elemType: ONNX_TYPE[type], shape: { dim } } } } };
}
