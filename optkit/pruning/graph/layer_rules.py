"""Operators with weights: what they read ends in them, and they begin channels of their own."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from optkit.pruning.graph.channels import Channels, Kept, rank_of
from optkit.quantization.graphs import constant_tensor
from optkit.quantization.operators import attribute

Handled = set[tuple[int, int]]
"""(input, axis) that a rule has followed; what it has not stays as it is."""
Rule = Callable[[ir.Node, Channels], Handled]


def shape_of(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape of a constant; None if it is computed."""
    tensor = constant_tensor(value)
    return None if tensor is None else tuple(int(d) for d in tensor.shape.numpy())


def conv(node: ir.Node, channels: Channels) -> Handled:
    """[out, in / groups, kernel…]; with groups, a whole group goes or stays."""
    return _convolution(node, channels, out_axis=0)


def conv_transpose(node: ir.Node, channels: Channels) -> Handled:
    """[in, out / groups, kernel…]"""
    return _convolution(node, channels, out_axis=1)


def _convolution(node: ir.Node, channels: Channels, out_axis: int) -> Handled:
    weight = shape_of(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if weight is None or (bias is not None and constant_tensor(bias) is None):
        return set()
    groups = int(attribute(node, "group", 1))
    read = channels.axes(node.inputs[0]).get(1)
    if groups == 1:
        given = channels.fresh(weight[out_axis])
        if read is not None:
            channels.follow(node, 1, 1 - out_axis, read)
        channels.follow(node, 1, out_axis, given)
    else:
        if read is None:
            return set()
        blocks = read.reshape(groups, -1)
        outputs = weight[0] if out_axis == 0 else weight[1] * groups
        for column in blocks.T[1:]:
            channels.tie(blocks[:, 0], column)
        given = np.repeat(blocks[:, 0], outputs // groups)
        channels.follow(node, 1, 0, given if out_axis == 0 else read)
        channels.change(node, _fewer_groups(blocks[:, 0]))
    if bias is not None:
        channels.follow(node, 2, 0, given)
    channels.give(node.outputs[0], 1, given)
    return {(0, 1)}


def _fewer_groups(first: np.ndarray) -> Callable[[ir.Node, Kept], None]:
    def change(node: ir.Node, kept: Kept) -> None:
        node.attributes["group"] = ir.AttrInt64("group", int(kept(first).sum()))

    return change


def gemm(node: ir.Node, channels: Channels) -> Handled:
    weight = shape_of(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    added = shape_of(bias)
    if weight is None or len(weight) != 2 or attribute(node, "transA", 0) or (bias is not None and added is None):
        return set()
    out_axis = 0 if attribute(node, "transB", 0) else 1
    given = channels.fresh(weight[out_axis])
    channels.follow(node, 1, out_axis, given)
    if added and added[-1] == weight[out_axis] > 1:
        channels.follow(node, 2, len(added) - 1, given)
    read = channels.axes(node.inputs[0]).get(1)
    if read is not None:
        channels.follow(node, 1, 1 - out_axis, read)
    channels.give(node.outputs[0], 1, given)
    rows = channels.axes(node.inputs[0]).get(0)
    if rows is None or (added is not None and len(added) == 2 and added[0] > 1):
        return {(0, 1)}
    channels.give(node.outputs[0], 0, rows)
    return {(0, 0), (0, 1)}


def matmul(node: ir.Node, channels: Channels) -> Handled:
    """By a constant matrix, or of two computed tensors, as in attention."""
    left, right = node.inputs[0], node.inputs[1]
    rank, other = rank_of(left), rank_of(right)
    weight = shape_of(right)
    if rank is None or other is None or rank < 2 or other < 2 or left is None or right is None or constant_tensor(left) is not None:
        return set()
    if weight is None:
        return _product(node, channels, rank) if rank == other else set()
    if len(weight) != 2:
        return set()
    handled: Handled = set()
    for axis, numbers in channels.axes(left).items():
        if axis == rank - 1:
            channels.follow(node, 1, 0, numbers)
        else:
            channels.give(node.outputs[0], axis, numbers)
        handled.add((0, axis))
    given = channels.fresh(weight[1])
    channels.follow(node, 1, 1, given)
    channels.give(node.outputs[0], rank - 1, given)
    return handled


def _product(node: ir.Node, channels: Channels, rank: int) -> Handled:
    """Batch axes go together, the inner axis goes together, the outer ones go on."""
    left, right = channels.axes(node.inputs[0]), channels.axes(node.inputs[1])
    handled: Handled = set()
    pairs = [(axis, axis) for axis in range(rank - 2)] + [(rank - 1, rank - 2)]
    for one, other in pairs:
        if one in left and other in right:
            channels.tie(left[one], right[other])
            handled |= {(0, one), (1, other)}
            if one < rank - 2:
                channels.give(node.outputs[0], one, left[one])
    if rank - 2 in left:
        channels.give(node.outputs[0], rank - 2, left[rank - 2])
        handled.add((0, rank - 2))
    if rank - 1 in right:
        channels.give(node.outputs[0], rank - 1, right[rank - 1])
        handled.add((1, rank - 1))
    return handled


def per_channel(node: ir.Node, channels: Channels) -> Handled:
    """BatchNormalization, InstanceNormalization: vectors with one number per channel."""
    numbers = channels.axes(node.inputs[0]).get(1)
    if numbers is None or attribute(node, "training_mode", 0) or any(shape_of(v) is None for v in node.inputs[1:]):
        return set()
    for place in range(1, len(node.inputs)):
        channels.follow(node, place, 0, numbers)
    channels.give(node.outputs[0], 1, numbers)
    return {(0, 1)}


LAYER_RULES: Mapping[str, Rule] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": per_channel,
    "InstanceNormalization": per_channel,
}
