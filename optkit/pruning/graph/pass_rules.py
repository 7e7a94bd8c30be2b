"""Operators that channels pass through one by one: element by element, over space, along other axes."""

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from optkit.arrays import Array
from optkit.pruning.graph.channels import Channels, rank_of
from optkit.pruning.graph.layer_rules import Handled, Rule, shape_of
from optkit.quantization.graphs import constant_array
from optkit.quantization.operators import attribute

UNARY = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast Ceil Celu Clip Cos Cosh Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish"
    " Identity IsInf IsNaN LeakyRelu Log Mish Neg Not QuickGelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus"
    " Softsign Sqrt Swish Tan Tanh ThresholdedRelu"
)
BROADCAST = (
    "Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum"
    " Where Xor"
)
OVER_SPACE = "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool"
REDUCING = "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
ALONG = "ArgMax ArgMin CumSum Hardmax LogSoftmax LpNormalization Softmax"


def unary(node: ir.Node, channels: Channels) -> Handled:
    axes = channels.axes(node.inputs[0])
    if len(node.outputs) > 1 and any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return set()
    if any(v is not None and shape_of(v) not in ((), (1,)) for v in node.inputs[1:]):
        return set()
    for axis, numbers in axes.items():
        channels.give(node.outputs[0], axis, numbers)
    return {(0, axis) for axis in axes}


def broadcast(node: ir.Node, channels: Channels) -> Handled:
    ranks = [rank_of(v) for v in node.inputs]
    if any(r is None for r in ranks):
        return set()
    rank = max(r for r in ranks if r is not None)
    handled: Handled = set()
    for axis in range(rank):
        tracked: list[tuple[int, int]] = []
        constants: list[tuple[int, int]] = []
        unknown = False
        for place, (value, own) in enumerate(zip(node.inputs, ranks, strict=True)):
            here = axis - rank + (own or 0)
            if value is None or here < 0:
                continue
            shape = shape_of(value)
            if here in channels.axes(value) and shape is None:
                tracked.append((place, here))
            elif shape is not None:
                constants += [(place, here)] if shape[here] != 1 else []
            else:
                unknown |= channels.size(value, here) != 1
        if tracked and not unknown:
            _together(node, channels, axis, tracked, constants)
            handled |= set(tracked)
    return handled


def _together(
    node: ir.Node, channels: Channels, axis: int, tracked: Sequence[tuple[int, int]], constants: Sequence[tuple[int, int]]
) -> None:
    found = [channels.axes(node.inputs[place])[here] for place, here in tracked]
    for other in found[1:]:
        channels.tie(found[0], other)
    for place, here in constants:
        channels.follow(node, place, here, found[0])
    channels.give(node.outputs[0], axis, found[0])


def over_space(node: ir.Node, channels: Channels) -> Handled:
    if len(node.outputs) > 1:
        return set()
    return _passed(node, channels, {a: n for a, n in channels.axes(node.inputs[0]).items() if a < 2})


def along(node: ir.Node, channels: Channels) -> Handled:
    """One axis is worked on as a whole; it stays."""
    rank = rank_of(node.inputs[0])
    axis = int(attribute(node, "axis", 0 if node.op_type.startswith("Arg") else -1))
    if rank is None or node.op_type == "CumSum":
        return set()
    axes = {a: n for a, n in channels.axes(node.inputs[0]).items() if a != axis % rank}
    if node.op_type.startswith("Arg") and not attribute(node, "keepdims", 1):
        for a, numbers in axes.items():
            channels.give(node.outputs[0], a - (a > axis % rank), numbers)
        return {(0, a) for a in axes}
    return _passed(node, channels, axes)


def layer_norm(node: ir.Node, channels: Channels) -> Handled:
    """What is normalized together stays."""
    rank = rank_of(node.inputs[0])
    if rank is None or any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
        return set()
    first = int(attribute(node, "axis", -1)) % rank
    return _passed(node, channels, {a: n for a, n in channels.axes(node.inputs[0]).items() if a < first})


def reduce(node: ir.Node, channels: Channels) -> Handled:
    rank = rank_of(node.inputs[0])
    reduced = reduced_axes(node, rank)
    if rank is None or reduced is None:
        return set()
    keeps = bool(attribute(node, "keepdims", 1))
    handled: Handled = set()
    for axis, numbers in channels.axes(node.inputs[0]).items():
        if axis not in reduced:
            channels.give(node.outputs[0], axis if keeps else axis - sum(r < axis for r in reduced), numbers)
            handled.add((0, axis))
    return handled


def reduced_axes(node: ir.Node, rank: int | None) -> set[int] | None:
    """Axes of a reduction, from 0; None where they are computed or all are meant."""
    if "axes" in node.attributes:
        axes = list(node.attributes["axes"].as_ints())
    else:
        array = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
        axes = [] if array is None else [int(a) for a in array.reshape(-1)]
    return {a % rank for a in axes} if axes and rank else None


def pad(node: ir.Node, channels: Channels) -> Handled:
    """Axes that are not padded."""
    pads = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    if pads is None or (len(node.inputs) > 3 and node.inputs[3] is not None):
        return set()
    half = len(pads) // 2
    return _passed(node, channels, {a: n for a, n in channels.axes(node.inputs[0]).items() if not pads[a] and not pads[half + a]})


def resize(node: ir.Node, channels: Channels) -> Handled:
    """Axes that are scaled by 1; scales only, sizes would have to change."""
    if "axes" in node.attributes or (node.op_type == "Resize" and _mode(node) == "tf_crop_and_resize"):
        return set()
    place = 2 if node.op_type == "Resize" else 1
    scales = constant_array(node.inputs[place]) if len(node.inputs) > place else None
    if scales is None or not scales.size:
        return set()
    return _passed(node, channels, {a: n for a, n in channels.axes(node.inputs[0]).items() if scales[a] == 1})


def _mode(node: ir.Node) -> str:
    found = node.attributes.get("coordinate_transformation_mode")
    return "" if found is None else found.as_string()


def _passed(node: ir.Node, channels: Channels, axes: Mapping[int, Array]) -> Handled:
    for axis, numbers in axes.items():
        channels.give(node.outputs[0], axis, numbers)
    return {(0, axis) for axis in axes}


PASS_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(UNARY.split(), unary),
    **dict.fromkeys(BROADCAST.split(), broadcast),
    **dict.fromkeys(OVER_SPACE.split(), over_space),
    **dict.fromkeys(REDUCING.split(), reduce),
    **dict.fromkeys(ALONG.split(), along),
    "LayerNormalization": layer_norm,
    "Pad": pad,
    "Resize": resize,
    "Upsample": resize,
}
