"""How a value, a node and its constants look in a row (see onnx_rows.py)."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.formats.onnx_constants import add_constant

Turned = dict[tuple[ir.Value, str], ir.Value]
"""What became of constants, each for one kind of use."""
FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


def form_of(value: ir.Value | None) -> int:
    """3 for a line [N, C, L] of floats, 4 for a column [N, C, L, 1], 0 for anything else."""
    if value is None or value.shape is None or value.dtype not in FLOATS or value.is_initializer():
        return 0
    rank = len(value.shape)
    return rank if rank == 3 or (rank == 4 and value.shape[3] == 1) else 0


def row_shape(value: ir.Value) -> ir.Shape:
    """The shape [N, C, 1, L] of a line or column."""
    assert value.shape is not None
    batch, channels, length = list(value.shape)[:3]
    return ir.Shape([batch, channels, 1, length])


def in_a_row(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """A line or column as a row, by a new node."""
    shape = row_shape(value)
    node = _reshape(graph, value, [0, 0, 1, _told(shape[3])], f"{value.name}_as_row")
    maker = value.producer()
    if maker is not None and maker.graph is graph:
        graph.insert_after(maker, node)
    else:
        graph.insert_before(graph[0], node)
    node.outputs[0].shape = shape
    return node.outputs[0]


def to_column_or_line(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """What a node gives as a row, in the shape that is still noted on it; it takes the value's name, and its place among the outputs."""
    maker, shape = value.producer(), value.shape
    assert maker is not None
    assert shape is not None
    ends = [_told(shape[2])] if len(shape) == 3 else [_told(shape[2]), 1]
    node = _reshape(graph, value, [0, 0, *ends], f"{value.name}_as_it_was")
    graph.insert_after(maker, node)
    made = node.outputs[0]
    made.shape = shape
    for place, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[place] = made
    made.name, value.name = value.name, f"{value.name}_row"
    return made


def turn(graph: ir.Graph, node: ir.Node, rank: int, turned: Turned) -> None:
    """Let a node that worked on lines (`rank` 3) or columns (4) work on rows; what `turned` holds already is shared."""
    for name, between in (("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("output_shape", 1), ("output_padding", 0), ("pads", 0)):
        if name in node.attributes:
            sizes = list(node.attributes[name].as_ints())
            halves = (sizes[: len(sizes) // 2], sizes[len(sizes) // 2 :]) if name == "pads" else (sizes,)
            node.attributes[name] = ir.AttrInt64s(name, [size for half in halves for size in _turned(half, between)])
    if node.op_type == "Concat":
        node.attributes["axis"] = ir.AttrInt64("axis", _axis(node.attributes["axis"].as_int(), rank))
    for place, value in enumerate(node.inputs):
        if value is None or value.const_value is None or not value.is_initializer():
            continue
        held = value.const_value.numpy()
        array = _constant(node, place, held, rank)
        if array is not held:
            use = (value, node.op_type)
            if use not in turned:
                home = value.graph if isinstance(value.graph, ir.Graph) else graph
                turned[use] = add_constant(home, f"{value.name}_row", array)
            node.replace_input_with(place, turned[use])


def _turned(sizes: Sequence[int], between: int) -> list[int]:
    """Of the one axis of a line, or of both of an image, to those of a row."""
    return [between, *sizes] if len(sizes) == 1 else [sizes[1], sizes[0]]


def _axis(axis: int, rank: int) -> int:
    axis %= rank
    return {2: 3, 3: 2}.get(axis, axis)


def _constant(node: ir.Node, place: int, array: Array, rank: int) -> Array:
    if node.op_type in ("Conv", "ConvTranspose"):
        return _array(array, rank) if place == 1 else array
    if node.op_type == "Pad" and place == 1:
        pads = array.reshape(2, -1)
        return (np.insert(pads, 2, 0, axis=1) if rank == 3 else pads[:, [0, 1, 3, 2]]).reshape(-1)
    if node.op_type == "Slice" and place == 3:
        return np.array([_axis(int(axis), rank) for axis in array.reshape(-1)], array.dtype)
    broadcast = node.op_type in ("Add", "Concat", "Div", "Max", "Min", "Mul", "Pow", "PRelu", "Sub", "Sum") and array.ndim
    return _array(array.reshape((1,) * (rank - array.ndim) + array.shape), rank) if broadcast else array


def _array(array: Array, rank: int) -> Array:
    return array[:, :, None] if rank == 3 else np.ascontiguousarray(array.swapaxes(2, 3))


def _told(size: int | ir.SymbolicDim) -> int:
    return size if isinstance(size, int) else -1


def _reshape(graph: ir.Graph, value: ir.Value, target: list[int], name: str) -> ir.Node:
    node = ir.node("Reshape", [value, add_constant(graph, f"{name}_shape", np.array(target, np.int64))], name=name)
    node.outputs[0].name, node.outputs[0].type = name, value.type
    return node
