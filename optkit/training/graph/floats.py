"""Float constants of a graph that can be learned: what layers multiply by and add."""

import onnx_ir as ir

from optkit.quantization.graphs import constant_tensor
from optkit.quantization.operators import is_standard

LEARNED = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (1,),
    "LayerNormalization": (1, 2),
    "RMSNormalization": (1,),
    "BatchNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "PRelu": (1,),
    "Add": (0, 1),
    "Mul": (0, 1),
}
"""Operator → places of such inputs. Of Add and Mul one number for each channel only: masks and positions stay."""


def learnable_floats(graph: ir.Graph) -> list[ir.Value]:
    """Initializers, each once, in the order in which they are read."""
    found: dict[ir.Value, None] = {}
    for node in graph:
        for place in LEARNED.get(node.op_type, ()) if is_standard(node) else ():
            value = node.inputs[place] if place < len(node.inputs) else None
            if value is not None and _learnable(value, per_channel=node.op_type in ("Add", "Mul")):
                found[value] = None
    return list(found)


def _learnable(value: ir.Value, *, per_channel: bool) -> bool:
    tensor = constant_tensor(value)
    if tensor is None or not value.is_initializer() or value.is_graph_output() or tensor.dtype != ir.DataType.FLOAT:
        return False
    return not per_channel or sum(size != 1 for size in tensor.shape.numpy()) == 1
