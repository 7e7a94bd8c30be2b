"""A mean over all positions is a GlobalAveragePool: that has an integer kernel, and ReduceMean is slow in the layout of integer layers."""

import onnx_ir as ir

from optkit.quantization.graphs import all_graphs, constant_array, prune_unused
from optkit.quantization.operators import attribute, is_standard


def pool_means(model: ir.Model) -> int:
    """Turn every ReduceMean over all positions of an image into a GlobalAveragePool, in place; returns how many.

    Of three dimensions the last may be features, whose mean belongs to a LayerNormalization.
    """
    found = [n for g in all_graphs(model) for n in g if is_standard(n) and n.op_type == "ReduceMean" and _over_positions(n)]
    for node in found:
        node.op_type = "GlobalAveragePool"
        node.attributes.clear()
        node.resize_inputs(1)
    if found:
        prune_unused(model)
    return len(found)


def _over_positions(node: ir.Node) -> bool:
    source = node.inputs[0]
    maker = source.producer() if source is not None else None
    if source is None or maker is None or maker.op_type not in ("Conv", "Add", "Relu", "Mul") or not attribute(node, "keepdims", 1):
        return False
    rank = len(source.shape) if source.shape is not None else 0
    if rank < 4 or source.dtype != ir.DataType.FLOAT:
        return False
    given = node.attributes.get("axes")
    held = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = given.as_ints() if given is not None else held.ravel().tolist() if held is not None else ()
    return sorted(int(a) % rank for a in axes) == list(range(2, rank))
