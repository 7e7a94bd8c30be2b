"""A constant added to what a convolution gives belongs into its bias: integer kernels add that for free, an Add costs two roundings."""

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import add_constant, all_graphs, constant_array, prune_unused, take_place
from optkit.quantization.operators import attribute, is_standard


def fold_added_biases(model: ir.Model) -> int:
    """Move every per-channel constant that alone reads a convolution's output into the convolution, in place; returns how many."""
    done = 0
    for graph in all_graphs(model):
        for node in list(graph):
            done += _fold(graph, node)
    if done:
        prune_unused(model)
    return done


def _fold(graph: ir.Graph, node: ir.Node) -> bool:
    if not is_standard(node) or node.op_type not in ("Conv", "ConvTranspose") or node.outputs[0].is_graph_output():
        return False
    uses = list(node.outputs[0].uses())
    weight = constant_array(node.inputs[1])
    if weight is None or len(uses) != 1 or uses[0].node.op_type != "Add" or not is_standard(uses[0].node):
        return False
    if uses[0].node.graph is not graph:
        return False
    add = uses[0].node
    added = constant_array(add.inputs[1 - uses[0].idx])
    channels = weight.shape[0] if node.op_type == "Conv" else weight.shape[1] * int(attribute(node, "group", 1))
    bias = None if added is None else _per_channel(added, channels, weight.ndim)
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    held = constant_array(node.inputs[2]) if has_bias else np.zeros(channels, np.float32)
    if bias is None or held is None or held.dtype != bias.dtype:
        return False
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, add_constant(graph, f"{node.outputs[0].name}_bias", held + bias))
    take_place(add, node.outputs[0])
    return True


def _per_channel(added: np.ndarray, channels: int, rank: int) -> np.ndarray | None:
    """The constant as one number a channel; None if it differs within a channel or widens the result."""
    if added.ndim > rank or added.dtype != np.float32:
        return None
    shape = (1,) * (rank - added.ndim) + added.shape
    if any(size != 1 for axis, size in enumerate(shape) if axis != 1) or shape[1] not in (1, channels):
        return None
    return np.broadcast_to(added.reshape(-1), (channels,)).copy()
