"""HardSigmoid in integers: the same integers on another grid, cut off at its ends.

Of x = s (q - z), α x + β is α s (q - z'), with z' = z - β / (α s). Where z' is an integer of [0, 255], max(0, min(1, α x + β)) is
α s (q' - z') to within float32's rounding, with q' = q cut off below z' and where 1 is reached. So the grid of x is made one on which
β / (α s) is whole, and HardSwish, x · HardSigmoid(x), is a Clip of bytes and one QLinearMul in place of four passes over floats.
"""

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from optkit.quantization.affine import Grid
from optkit.quantization.graphs import add_constant, add_node, all_graphs, graph_of
from optkit.quantization.operators import FUSED_ACTIVATIONS, attribute, is_standard, moves

LARGEST = 255
CUT_OFF = "_cut_off"
"""What is appended to the name of what a gate writes, for its integers."""


def is_hard_gate(node: ir.Node) -> bool:
    """Whether a node is a HardSigmoid that rises and is between 0 and 1 where its input is zero."""
    return is_standard(node) and node.op_type == "HardSigmoid" and _slope(node) > 0 and 0 < _offset(node) < 1


def can_be_integer(node: ir.Node) -> bool:
    """Whether the grid of what a hard gate reads may be made to suit it: no other node has a say in that."""
    value = node.inputs[0]
    maker = value.producer() if value is not None else None
    if value is None or maker is None or moves(maker) or maker.op_type in FUSED_ACTIVATIONS or is_hard_gate(maker):
        return False
    others = [r for r in value.consumers() if r.op_type == "HardSigmoid"]
    return all((_slope(each), _offset(each)) == (_slope(node), _offset(node)) for each in others)


def with_hard_gates(model: ir.Model, names: Collection[str], grids: Mapping[str, Grid]) -> dict[str, Grid]:
    """Grids in which those that the named hard gates read suit them, with those of what they write."""
    found = dict(grids)
    for node in (n for g in all_graphs(model) for n in g):
        if node.name in names and is_hard_gate(node):
            read = str(node.inputs[0].name)  # type: ignore[union-attr]
            found[read] = suited(found[read], _slope(node), _offset(node), alone=_feeds_nothing_else(node))
            found[str(node.outputs[0].name)] = behind(found[read], _slope(node), _offset(node))
    return found


def suited(grid: Grid, slope: float, offset: float, *, alone: bool) -> Grid:
    """The finest grid on which offset / (slope · scale) is whole, and not zero, that covers what `grid` does and where the gate is zero.

    What lies below that is cut off where the gate and its product with x read x `alone`: they give 0 there.
    """
    reach = offset / slope
    low = -reach if alone else min(grid.low, -reach)
    steps = max(int(reach * LARGEST / (grid.high - low)), 1)
    scale = float(np.float32(reach / steps))
    return Grid(scale, min(max(round(-low / scale), steps), LARGEST))


def behind(grid: Grid, slope: float, offset: float) -> Grid:
    """The grid of what a hard gate gives, of what is on a grid that suits it."""
    steps = round(offset / slope / grid.scale)
    return Grid(float(np.float32(slope * grid.scale)), grid.zero_point - steps)


def add_hard_gate(node: ir.Node, integers: ir.Value, source: Grid) -> ir.Value:
    """What a hard gate gives as integers, made in front of it of those that it reads; they are on the grid `behind` the `source`."""
    low = behind(source, _slope(node), _offset(node)).zero_point
    high = round(source.zero_point + (1 - _offset(node)) / (_slope(node) * source.scale))
    if low <= 0 and high >= LARGEST:
        return integers
    ends = (low if low > 0 else None, high if high < LARGEST else None)
    label = f"{node.outputs[0].name}_ends"
    held = [add_constant(graph_of(node), f"{label}_{i}", np.uint8(end)) if end is not None else None for i, end in enumerate(ends)]
    made = add_node(node, "Clip", [integers, *(held if held[1] is not None else held[:1])], f"{node.outputs[0].name}{CUT_OFF}").outputs[0]
    made.type = ir.TensorType(ir.DataType.UINT8)
    return made


def _feeds_nothing_else(node: ir.Node) -> bool:
    """Whether only a gate and its product read what the gate reads."""
    value, gate = node.inputs[0], node.outputs[0]
    assert value is not None
    products = [r for r in value.consumers() if r is not node]
    gated = all(r.op_type == "Mul" and is_standard(r) and set(r.inputs) == {value, gate} for r in products)
    return gated and not value.is_graph_output()


def _slope(node: ir.Node) -> float:
    return float(attribute(node, "alpha", 0.2))


def _offset(node: ir.Node) -> float:
    return float(attribute(node, "beta", 0.5))
