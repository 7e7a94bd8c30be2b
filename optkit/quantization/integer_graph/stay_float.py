"""Layers that are to stay float between integer ones, kept so: ONNX Runtime rounds their weights itself, one scale for all of them.

It does so (WeightBiasQuantization, 1.21 and later) where a Conv, ConvTranspose or Gemm with float weights reads a DequantizeLinear of a
single scale and a QuantizeLinear reads its output, or the Relu or Clip behind it. That undoes what leaving the layer in float was for,
and is slow where there is no integer kernel. A DequantizeLinear that says the same scale once for every channel is left alone.
"""

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import add_constant, add_node, all_graphs, constant_array, constant_tensor, graph_of
from optkit.quantization.operators import FUSED_ACTIVATIONS, attribute, is_standard

TAKEN = frozenset({"Conv", "ConvTranspose", "Gemm"})


def keep_floats(model: ir.Model) -> int:
    """Give every float layer that would be taken a DequantizeLinear of its own, in place; returns how many layers."""
    made: dict[tuple[ir.Node, int], ir.Value] = {}
    done = 0
    for graph in all_graphs(model):
        for node in list(graph):
            channels = _channels(node)
            before = node.inputs[0].producer() if channels > 1 and node.inputs[0] is not None else None
            if before is None or before.op_type != "DequantizeLinear" or before.graph is not graph or not _leads_to_integers(node):
                continue
            scale = constant_array(before.inputs[1])
            if scale is None or scale.size != 1:
                continue
            if (before, channels) not in made:
                made[before, channels] = _by_channel(before, channels)
            node.replace_input_with(0, made[before, channels])
            done += 1
    return done


def _channels(node: ir.Node) -> int:
    """How many channels a layer with constant float weights reads; 0 of other nodes."""
    if not is_standard(node) or node.op_type not in TAKEN or (node.op_type == "Gemm" and attribute(node, "transA", 0)):
        return 0
    weight = constant_tensor(node.inputs[1])
    if weight is None or weight.dtype != ir.DataType.FLOAT:
        return 0
    first, second = weight.shape.numpy()[:2]
    if node.op_type == "Conv":
        return second * int(attribute(node, "group", 1))
    return second if node.op_type == "Gemm" and attribute(node, "transB", 0) else first


def _leads_to_integers(node: ir.Node) -> bool:
    """Whether what it writes is quantized, and read by nothing else before that."""
    readers = node.outputs[0].consumers()
    if len(readers) != 1 or node.outputs[0].is_graph_output():
        return False
    reader = readers[0]
    return reader.op_type == "QuantizeLinear" or (reader.op_type in FUSED_ACTIVATIONS and _leads_to_integers(reader))


def _by_channel(before: ir.Node, channels: int) -> ir.Value:
    graph, name = graph_of(before), str(before.outputs[0].name)
    inputs: list[ir.Value | None] = [before.inputs[0]]
    for value, kind in zip(before.inputs[1:], ("scales", "zero_points"), strict=False):
        array = constant_array(value)
        inputs.append(
            None if array is None else add_constant(graph, f"{name}_{kind}", np.full(channels, array.reshape(-1)[0], array.dtype))
        )
    return add_node(before, "DequantizeLinear", inputs, f"{name}_by_channel", after=True, axis=1).outputs[0]
