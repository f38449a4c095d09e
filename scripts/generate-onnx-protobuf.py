"""Writes src/onnx/generated/onnx_pb.js and .d.ts: the ONNX protobuf messages that a graph of ours consists of.

The messages come from the descriptor inside the official `onnx` Python package (compiled from onnx-ml.proto, so it holds
names, numbers and types and no comments), cut down to the fields that src/onnx/ writes, because the descriptor travels in
the page's bundle. Field numbers and types are left as they are, so the bytes are ordinary ONNX.

Run it from the repository's root, after `npm ci`, when a field is added to KEEP or onnx changes:

    python3 -m venv /tmp/onnx-venv && /tmp/onnx-venv/bin/pip install onnx==1.23.2
    /tmp/onnx-venv/bin/python scripts/generate-onnx-protobuf.py

protoc itself is not needed: protoc-gen-es (a dev dependency) speaks protoc's plugin protocol, and this script feeds it.
The output is JavaScript with declarations, not TypeScript, because protobuf's enums are no erasable TypeScript.
"""

import pathlib
import subprocess

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from onnx import onnx_ml_pb2

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "src" / "onnx" / "generated"

# Message -> the fields that we write. What is not named here is dropped from the descriptor.
KEEP = {
    "AttributeProto": ["name", "type", "f", "i", "s"],
    "ValueInfoProto": ["name", "type"],
    "NodeProto": ["input", "output", "name", "op_type", "domain", "attribute"],
    "ModelProto": ["ir_version", "opset_import", "producer_name", "graph"],
    "StringStringEntryProto": ["key", "value"],
    "GraphProto": ["node", "name", "initializer", "input", "output"],
    "TensorProto": ["dims", "data_type", "name", "raw_data", "external_data", "data_location"],
    "TensorShapeProto": ["dim"],
    "TensorShapeProto.Dimension": ["dim_value", "dim_param"],
    "TypeProto": ["tensor_type"],
    "TypeProto.Tensor": ["elem_type", "shape"],
    "OperatorSetIdProto": ["domain", "version"],
}
# Enum -> the values that we write; None keeps all.
KEEP_ENUMS = {
    "AttributeProto.AttributeType": ["UNDEFINED", "FLOAT", "INT", "STRING"],
    "TensorProto.DataType": ["UNDEFINED", "FLOAT", "UINT8", "INT32", "INT64", "FLOAT16"],
    "TensorProto.DataLocation": None,
}


def main() -> None:
    file = descriptor_pb2.FileDescriptorProto()
    onnx_ml_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = "onnx.proto"
    file.ClearField("options")
    file.ClearField("enum_type")
    for message in keep_named(file.message_type, KEEP, ""):
        prune_message(message, message.name)

    request = plugin_pb2.CodeGeneratorRequest(
        file_to_generate=[file.name], parameter="target=js+dts,import_extension=js", proto_file=[file]
    )
    plugin = ROOT / "node_modules" / ".bin" / "protoc-gen-es"
    answer = subprocess.run([str(plugin)], input=request.SerializeToString(), capture_output=True, check=True)
    response = plugin_pb2.CodeGeneratorResponse.FromString(answer.stdout)
    if response.error:
        raise SystemExit(response.error)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for generated in response.file:
        (OUTPUT / generated.name).write_text(generated.content)
        print(f"{generated.name}: {len(generated.content)} bytes")


def prune_message(message: descriptor_pb2.DescriptorProto, path: str) -> None:
    fields = KEEP[path]
    missing = set(fields) - {field.name for field in message.field}
    if missing:
        raise SystemExit(f"{path} has no field {', '.join(sorted(missing))}")
    drop(message.field, lambda field: field.name in fields)
    for field in message.field:
        field.json_name = to_camel_case(field.name)  # protoc fills it in; a compiled descriptor has left it out
    message.ClearField("reserved_range")
    message.ClearField("reserved_name")
    prune_oneofs(message)
    for nested in keep_named(message.nested_type, KEEP, f"{path}."):
        prune_message(nested, f"{path}.{nested.name}")
    for enum in keep_named(message.enum_type, KEEP_ENUMS, f"{path}."):
        values = KEEP_ENUMS[f"{path}.{enum.name}"]
        if values is not None:
            drop(enum.value, lambda value: value.name in values)


def prune_oneofs(message: descriptor_pb2.DescriptorProto) -> None:
    """Drops the oneofs whose fields are all gone and renumbers the rest."""
    used = sorted({field.oneof_index for field in message.field if field.HasField("oneof_index")})
    kept = [descriptor_pb2.OneofDescriptorProto.FromString(message.oneof_decl[i].SerializeToString()) for i in used]
    for field in message.field:
        if field.HasField("oneof_index"):
            field.oneof_index = used.index(field.oneof_index)
    message.ClearField("oneof_decl")
    message.oneof_decl.extend(kept)


def keep_named(entries, table, prefix):
    drop(entries, lambda entry: f"{prefix}{entry.name}" in table)
    return entries


def to_camel_case(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def drop(entries, wanted) -> None:
    for index in reversed(range(len(entries))):
        if not wanted(entries[index]):
            del entries[index]


if __name__ == "__main__":
    main()
