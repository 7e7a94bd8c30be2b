"""Types and shapes of a node's outputs from those of its inputs."""

from collections.abc import Mapping, Sequence

import onnx
from onnx.shape_inference import infer_node_outputs

from optkit.inspection.contrib_shapes import contrib_dims, standard_twin
from optkit.inspection.values import NO_TYPE, Dims, Value, dims_of, element_type, tensor_type

STANDARD = ("", "ai.onnx")


def output_types(node: onnx.NodeProto, inputs: Sequence[Value | None], opsets: Mapping[str, int]) -> list[onnx.TypeProto]:
    """One type for each output; an empty one where it cannot be told."""
    found = _by_schema(node, inputs, opsets)
    if not found or (found[0].tensor_type.elem_type and dims_of(found[0]) is None):
        dims = _dims_by_name(node, inputs)
        found = [tensor_type(_dtype(node, inputs), dims)] if dims is not None else found
    return (found + [NO_TYPE] * len(node.output))[: len(node.output)]


def _dims_by_name(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> Dims | None:
    twin = standard_twin(node, inputs)
    alike = _by_schema(*twin, {"": onnx.defs.onnx_opset_version()}) if twin else []
    return dims_of(alike[0]) if alike else contrib_dims(node, inputs)


def _dtype(node: onnx.NodeProto, inputs: Sequence[Value | None]) -> int:
    if node.op_type == "MatMulIntegerToFloat":
        return onnx.TensorProto.FLOAT
    values = inputs[2:] if node.op_type == "EmbedLayerNormalization" else inputs  # its first inputs are ids
    return next((element_type(value.type) for value in values if value is not None), onnx.TensorProto.FLOAT)


def _by_schema(node: onnx.NodeProto, inputs: Sequence[Value | None], opsets: Mapping[str, int]) -> list[onnx.TypeProto]:
    domain = "" if node.domain in STANDARD else node.domain
    try:
        schema = onnx.defs.get_schema(node.op_type, opsets.get(domain, 1), domain)
    except onnx.defs.SchemaError:
        return []
    given = {name: value for name, value in zip(node.input, inputs, strict=True) if name and value is not None}
    data = {
        name: onnx.numpy_helper.from_array(v.data, name) for name, v in given.items() if v.data is not None and v.data.dtype.kind != "O"
    }
    imports = [onnx.helper.make_opsetid(name, version) for name, version in opsets.items()]
    try:
        types = infer_node_outputs(schema, node, {name: v.type for name, v in given.items()}, data, opset_imports=imports)
    except Exception:  # the shapes contradict the operator (an assumed size does not fit) or an input is missing: not known
        return []
    return [types.get(name, NO_TYPE) if name else NO_TYPE for name in node.output]
