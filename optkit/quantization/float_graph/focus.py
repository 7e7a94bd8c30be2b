"""An image cut into pictures of every other pixel, which a convolution reads side by side (the Focus of YOLOv5 and YOLOX): one convolution.

With z[j C + c, y, x] = image[c, S y + a_j, S x + b_j] for every pair (a_j, b_j) below S, a kernel W over z is the kernel K over the image
with K[c, S u + a_j, S v + b_j] = W[j C + c, u, v], strides and pads S times as large. It multiplies as often, and nothing is copied.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import add_constant, all_graphs, constant_array, graph_of, prune_unused
from optkit.quantization.operators import attribute, is_standard, weight_of

MOST_CHANNELS = 4
"""Of an image: with few of them, copying takes longer than multiplying."""
ROWS, COLUMNS = 2, 3


class _Phase(NamedTuple):
    """Every `step`-th row and column of an image, from `start` on; both (rows, columns)."""

    image: ir.Value
    start: tuple[int, int]
    step: tuple[int, int]


def join_focus(model: ir.Model, but: Collection[str] = ()) -> int:
    """Let convolutions read the image itself, in place, but those of these names; returns how many.

    It is for floats: in integers a kernel of so few channels is slower than what it replaces.
    """
    done = sum(_join(node) for graph in all_graphs(model) for node in list(graph) if node.name not in but)
    if done:
        prune_unused(model)
    return done


def _join(node: ir.Node) -> bool:
    if node.op_type != "Conv" or not _plain(node):
        return False
    concat = node.inputs[0].producer() if node.inputs[0] is not None else None
    if concat is None or concat.op_type != "Concat" or attribute(concat, "axis", 0) != 1 or concat.graph is not node.graph:
        return False
    phases = [_phase(value) for value in concat.inputs]
    first = phases[0]
    if first is None or any(each is None or each.image is not first.image or each.step != first.step for each in phases):
        return False
    starts = [each.start for each in phases if each is not None]
    rows, columns = first.step
    if rows * columns == 1 or sorted(starts) != [(a, b) for a in range(rows) for b in range(columns)]:
        return False
    weight, value = constant_array(node.inputs[1]), node.inputs[1]
    assert weight is not None
    assert value is not None
    outputs, inputs, height, width = weight.shape
    channels = inputs // len(starts)
    if channels > MOST_CHANNELS or channels * len(starts) != inputs or first.image.shape is None or first.image.shape[1] != channels:
        return False
    kernel = np.zeros((outputs, channels, height * rows, width * columns), weight.dtype)
    for place, (a, b) in enumerate(starts):
        kernel[:, :, a::rows, b::columns] = weight[:, place * channels : (place + 1) * channels]
    node.replace_input_with(0, first.image)
    node.replace_input_with(1, add_constant(graph_of(node), f"{value.name}_joined", kernel))
    _stretch(node, rows, columns)
    return True


def _plain(node: ir.Node) -> bool:
    """Whether a node is a convolution of images whose kernel has no gaps and whose pads are told."""
    weight = weight_of(node)
    gaps = node.attributes["dilations"].as_ints() if "dilations" in node.attributes else (1,)
    told = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    return weight is not None and len(weight.shape) == 4 and attribute(node, "group", 1) == 1 and set(gaps) == {1} and told == "NOTSET"


def _phase(value: ir.Value | None) -> _Phase | None:
    """What a chain of Slices picks of the image before them; None where it is anything else."""
    start, step = [0, 0], [1, 1]
    while value is not None and (node := value.producer()) is not None and node.op_type == "Slice" and is_standard(node):
        picked = _picked(node)
        if picked is None or value.is_graph_output():
            return None
        for axis, (first, every) in picked.items():  # what was picked afterwards counts what is picked here
            start[axis - ROWS] = first + every * start[axis - ROWS]
            step[axis - ROWS] *= every
        value = node.inputs[0]
    if value is None or value.shape is None or len(value.shape) != 4:
        return None
    sizes = value.shape[ROWS], value.shape[COLUMNS]
    if any(not isinstance(size, int) or size % every for size, every in zip(sizes, step, strict=True)):
        return None
    return _Phase(value, (start[0], start[1]), (step[0], step[1]))


def _picked(node: ir.Node) -> dict[int, tuple[int, int]] | None:
    """Axis → first and step of a Slice that takes every so many rows or columns to the end."""
    parts = [constant_array(each) for each in node.inputs[1:]]
    source = node.inputs[0]
    if len(parts) != 4 or any(each is None for each in parts) or source is None or source.shape is None or len(source.shape) != 4:
        return None
    found = {}
    for first, end, axis, every in zip(*(each.reshape(-1).tolist() for each in parts if each is not None), strict=True):
        size = source.shape[axis]
        if axis not in (ROWS, COLUMNS) or not isinstance(size, int) or not 0 <= first < every or end < size:
            return None
        found[axis] = first, every
    return found


def _stretch(node: ir.Node, rows: int, columns: int) -> None:
    for name, default in (("strides", (1, 1)), ("pads", (0, 0, 0, 0))):
        held = node.attributes[name].as_ints() if name in node.attributes else default
        factors = (rows, columns) * (len(held) // 2)
        node.attributes[name] = ir.AttrInt64s(name, [size * factor for size, factor in zip(held, factors, strict=True)])
    if "kernel_shape" in node.attributes:
        height, width = node.attributes["kernel_shape"].as_ints()
        node.attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", [height * rows, width * columns])
