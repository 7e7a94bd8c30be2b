"""Layers with a bias of their own, in integers and in float, as far as their biases can be decided anew."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph.integer_layers import integer_layers
from optkit.quantization.operators import is_standard


@dataclass(frozen=True)
class BiasedLayer:
    """One layer; its bias is an initializer of the graph that nothing else reads. As IntegerLayer, without its weight."""

    node: ir.Node
    output: str
    bias: ir.Value
    bias_scale: Array | None = None
    """Of an integer bias; None where the bias is float."""
    biased: str | None = None
    """What the Add behind it gives, where that holds its bias."""


def biased_layers(model: ir.Model) -> list[BiasedLayer]:
    """Those of the main graph, in order, that compute in integers or from what such layers give."""
    found = {each.node: each for each in integer_layers(model)}
    layers: list[BiasedLayer] = []
    behind: set[ir.Node] = set()
    for node in model.graph:
        if node in found or any(v is not None and v.producer() in behind for v in node.inputs):
            behind.add(node)
        integer = found.get(node)
        layer = _in_float(node) if integer is None and node in behind else None
        if integer is not None and integer.bias is not None:
            layer = BiasedLayer(node, integer.output, integer.bias, integer.bias_scale, integer.biased)
        layers += [layer] if layer is not None else []
    return layers


def _in_float(node: ir.Node) -> BiasedLayer | None:
    if not is_standard(node) or node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    output = str(node.outputs[0].name)
    if node.op_type != "MatMul":
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        return BiasedLayer(node, output, bias) if bias is not None and _own(bias) else None
    readers = node.outputs[0].consumers()
    if len(readers) != 1 or readers[0].op_type != "Add" or node.outputs[0].is_graph_output():
        return None
    added = [v for v in readers[0].inputs if v is not None and v is not node.outputs[0]]
    there = added[0] if len(added) == 1 and _own(added[0]) else None
    return BiasedLayer(node, output, there, biased=str(readers[0].outputs[0].name)) if there is not None else None


def _own(value: ir.Value) -> bool:
    """Whether it is a float32 number for each channel that one node reads."""
    held = constant_array(value) if value.is_initializer() and not value.is_graph_input() and len(value.uses()) == 1 else None
    return held is not None and held.dtype == np.float32 and held.ndim == 1
