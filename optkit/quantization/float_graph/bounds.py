"""The larger or smaller of a value and one number is a Clip, or a Relu: those melt into the quantization of what is in front of them."""

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import add_constant, all_graphs, constant_array, graph_of, prune_unused
from optkit.quantization.operators import is_standard

PLACE = {"Max": 1, "Min": 2}
"""Input of Clip that is the bound."""


def name_bounds(model: ir.Model) -> int:
    """Turn every Max and Min of a float value and a constant number into a Clip, or a Relu, in place; returns how many."""
    done = 0
    for graph in all_graphs(model):
        for node in [n for n in graph if is_standard(n) and n.op_type in PLACE and len(n.inputs) == 2]:
            bounded = _bounded(node)
            if bounded is None:
                continue
            value, bound = bounded
            node.replace_input_with(0, value)
            if node.op_type == "Max" and bound.item() == 0:
                node.resize_inputs(1)
                node.op_type = "Relu"
            else:
                held, place = add_constant(graph_of(node), f"{node.outputs[0].name}_bound", bound.reshape(())), PLACE[node.op_type]
                node.resize_inputs(place + 1)
                node.replace_input_with(1, None)
                node.replace_input_with(place, held)
                node.op_type = "Clip"
            done += 1
    if done:
        prune_unused(model)
    return done


def _bounded(node: ir.Node) -> tuple[ir.Value, Array] | None:
    for value, other in (node.inputs, node.inputs[::-1]):
        bound = constant_array(other)
        if value is None or bound is None or bound.size != 1 or value.dtype != ir.DataType.FLOAT:
            continue
        rank = len(value.shape) if value.shape is not None else 0
        if bound.ndim <= rank and not np.isnan(bound.item()):  # more dimensions would be the result's; NaN bounds nothing
            return value, bound
    return None
