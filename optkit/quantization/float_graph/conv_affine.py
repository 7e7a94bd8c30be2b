"""What is added to, or multiplied with, each channel that a convolution gives belongs into the convolution.

Integer kernels add a bias for free and have a scale for every channel anyway; apart, each step costs two roundings and its time.
"""

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.graphs import add_constant, all_graphs, constant_array, prune_unused
from optkit.quantization.operators import is_standard

AFFINE = frozenset({"Add", "Sub", "Mul", "Div"})
SMALLEST, LARGEST = 1e-6, 1e6
"""Factors beyond these are no batch norm, and their products with weights may leave float32."""


def fold_affine(model: ir.Model) -> int:
    """Move every per-channel constant that alone reads a convolution's output into the convolution, in place; returns how many."""
    done = 0
    for graph in all_graphs(model):
        for node in list(graph):
            while _fold(graph, node):
                done += 1
    if done:
        prune_unused(model)
    return done


def _fold(graph: ir.Graph, node: ir.Node) -> bool:
    if not is_standard(node) or node.op_type not in ("Conv", "ConvTranspose") or node.outputs[0].is_graph_output():
        return False
    uses = list(node.outputs[0].uses())
    weight = constant_array(node.inputs[1])
    if weight is None or len(uses) != 1 or uses[0].node.op_type not in AFFINE or not is_standard(uses[0].node):
        return False
    if uses[0].node.graph is not graph:
        return False
    reader, place = uses[0].node, uses[0].idx
    given = constant_array(reader.inputs[1 - place])
    channels = weight.shape[0] if node.op_type == "Conv" else weight.shape[1] * _groups(node)
    constant = None if given is None else _per_channel(given, channels, weight.ndim)
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    held = constant_array(node.inputs[2]) if has_bias else np.zeros(channels, np.float32)
    if constant is None or held is None or held.dtype != constant.dtype or weight.dtype != constant.dtype:
        return False
    step = _step(reader.op_type, constant, place)
    if step is None:
        return False
    _put_in(graph, node, reader, (weight, held), step)
    return True


def _step(operator: str, constant: Array, place: int) -> tuple[Array, Array] | None:
    """Factor and summand of each channel; None where they are not plain numbers."""
    one, zero = np.ones_like(constant), np.zeros_like(constant)
    if operator == "Add":
        return one, constant
    if operator == "Sub":
        return (-one, constant) if place else (one, -constant)
    if (operator == "Div" and place) or not ((np.abs(constant) > SMALLEST) & (np.abs(constant) < LARGEST)).all():
        return None
    return (constant, zero) if operator == "Mul" else (one / constant, zero)


def _put_in(graph: ir.Graph, node: ir.Node, reader: ir.Node, held: tuple[Array, Array], step: tuple[Array, Array]) -> None:
    weight, bias = held
    factor, summand = step
    output, name = reader.outputs[0], reader.outputs[0].name
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    if (factor != 1).any():
        node.replace_input_with(1, add_constant(graph, f"{node.outputs[0].name}_weight", _scaled(node, weight, factor)))
    node.replace_input_with(2, add_constant(graph, f"{node.outputs[0].name}_bias", bias * factor + summand))
    mine = node.outputs[0]
    mine.type, mine.shape = output.type, output.shape
    output.replace_all_uses_with(mine, replace_graph_outputs=True)
    graph.remove(reader, safe=True)
    mine.name = name


def _scaled(node: ir.Node, weight: Array, factor: Array) -> Array:
    if node.op_type == "Conv":
        return weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    groups = _groups(node)
    inputs = weight.reshape(groups, -1, *weight.shape[1:])  # [groups, channels in, channels out of one group, …]
    return (inputs * factor.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)


def _groups(node: ir.Node) -> int:
    found = node.attributes.get("group")
    return 1 if found is None else found.as_int()


def _per_channel(given: Array, channels: int, rank: int) -> Array | None:
    """The constant as one number a channel; None if it differs within a channel or widens the result."""
    if given.ndim > rank or given.dtype != np.float32:
        return None
    shape = (1,) * (rank - given.ndim) + given.shape
    if any(size != 1 for axis, size in enumerate(shape) if axis != 1) or shape[1] not in (1, channels):
        return None
    return np.broadcast_to(given.reshape(-1), (channels,)).copy()
