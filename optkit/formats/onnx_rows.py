"""Signals as images of one row: convolutions along one axis, as [N, C, L] or [N, C, L, 1], work on [N, C, 1, L].

ONNX Runtime's fast float kernels for CPUs know images only, and what they compute side by side lies in a row: a convolution of rank 3
is computed by a general matrix product instead, one of a column that is padded position by position, and in integers a column is
gathered byte by byte. Nothing is moved in memory: the Reshapes at both ends of such a part of the graph only say it otherwise.

Measured (AVX-512, one thread): of rank 3, with multiples of 16 channels 0.6 to 0.95 of the time, with others up to 1.3; columns 0.5 to 1.0.
"""

from collections.abc import Iterable, Sequence
from math import prod

import onnx_ir as ir

from optkit.formats.onnx_row_forms import Turned, form_of, in_a_row, row_shape, to_column_or_line, turn

PLAIN = ("", "ai.onnx")
BLOCK = 16
"""Channels that the fast kernels take at once (8 without AVX-512)."""
GAIN, LOSS = 0.25, 0.25
"""Share of the time that multiples of so many channels save in a row of what was of rank 3, and that others cost."""
SLIDING = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool"})
ONE_BY_ONE = frozenset(
    {"Abs", "BatchNormalization", "Cast", "Ceil", "Clip", "Elu", "Erf", "Exp", "Floor", "Gelu", "GlobalAveragePool", "GlobalMaxPool"}
    | {"HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Selu"}
    | {"Sigmoid", "Softplus", "Softsign", "Sqrt", "Tanh"}
)
TOGETHER = frozenset({"Add", "Concat", "Div", "Max", "Min", "Mul", "Pow", "PRelu", "Sub", "Sum"})


def lay_in_rows(model: ir.Model) -> int:
    """Turn every part of the graph that gains by it, in place; returns how many parts. Shapes must have been inferred.

    What such a part gives to others, and to the caller, has the shape it had.
    """
    done, turned = 0, Turned()
    for graph in model.graphs():
        able = {node: rank for node in graph if (rank := _rank(node))}
        for part in _parts(able):
            if _pays(part, able[part[0]]):
                _lay(graph, part, able[part[0]], turned)
                done += 1
    return done


def _rank(node: ir.Node) -> int:
    """3 or 4 where a node takes and gives lines or columns, and could as well work on rows; else 0."""
    if node.domain not in PLAIN or len(node.outputs) != 1:
        return 0
    rank, rest = form_of(node.outputs[0]), node.inputs[1:]
    if node.op_type in TOGETHER:
        computed = [v for v in node.inputs if v is not None and not _constant(v)]
        same = all(form_of(v) == rank for v in computed) and all(_fits(node, v, rank) for v in node.inputs if v not in computed)
        return rank if computed and same else 0
    if not node.inputs or form_of(node.inputs[0]) != rank or not all(v is None or _constant(v) for v in rest):
        return 0
    if node.op_type in ("Pad", "Slice"):
        sized = [v for v in rest if v is not None]
        told = len(sized) in (1, 2) if node.op_type == "Pad" else len(sized) >= 3
        return rank if told and len(rest) == len(sized) else 0
    return rank if node.op_type in SLIDING | ONE_BY_ONE else 0


def _constant(value: ir.Value) -> bool:
    return value.is_initializer() and not value.is_graph_input() and value.const_value is not None


def _fits(node: ir.Node, value: ir.Value | None, rank: int) -> bool:
    if value is None or value.const_value is None:
        return False
    held = len(value.const_value.shape)
    return held == rank if node.op_type == "Concat" else held <= rank


def _parts(able: dict[ir.Node, int]) -> list[list[ir.Node]]:
    """Nodes that give each other lines, or columns; each part in the order of the graph."""
    place = {node: number for number, node in enumerate(able)}
    left, found = dict.fromkeys(able), []
    while left:
        waiting, part = [next(iter(left))], []
        while waiting:
            node = waiting.pop()
            if node in left:
                del left[node]
                part.append(node)
                waiting += [n for n in _near(node) if n in left and able[n] == able[node]]
        found.append(sorted(part, key=place.__getitem__))
    return found


def _near(node: ir.Node) -> Iterable[ir.Node]:
    for value in node.inputs:
        if value is not None and not _constant(value):
            maker = value.producer()
            yield from (maker,) if maker is not None else ()
            yield from value.consumers()
    yield from node.outputs[0].consumers()


def _pays(part: Sequence[ir.Node], rank: int) -> bool:
    """Of columns: whether anything slides along them that is padded or reads few channels. Of lines: whether what gains multiplies more
    than what loses.
    """
    layers = [n for n in part if n.op_type in ("Conv", "ConvTranspose")]
    if rank == 4:
        return any(max(_weight(n)[2:]) > 1 and (_padded(n) or _weight(n)[1] < BLOCK) for n in layers)
    return sum(_gain(n) for n in layers) > 0


def _padded(node: ir.Node) -> bool:
    source = node.inputs[0].producer() if node.inputs[0] is not None else None
    named = "auto_pad" in node.attributes and node.attributes["auto_pad"].as_string().startswith("SAME")
    pads = "pads" in node.attributes and any(node.attributes["pads"].as_ints())
    return named or pads or (source is not None and source.op_type == "Pad")


def _gain(node: ir.Node) -> float:
    """Multiplications that a convolution of rank 3 saves; negative where it loses."""
    shape = _weight(node)
    groups = node.attributes["group"].as_int() if "group" in node.attributes else 1
    length = node.outputs[0].shape[2] if node.outputs[0].shape is not None else 1
    count = prod(shape) * (length if isinstance(length, int) else 1)
    if node.op_type == "Conv" and shape[0] // groups % BLOCK == 0 and shape[1] % BLOCK == 0:
        return GAIN * count if shape[2] > 1 else 0.0
    if node.op_type == "Conv" and groups == shape[0] and shape[1] == 1 and shape[0] % BLOCK == 0:
        return GAIN * count
    return -LOSS * count if node.op_type == "Conv" else 0.0  # of both ranks a ConvTranspose is a matrix product


def _weight(node: ir.Node) -> Sequence[int]:
    held = node.inputs[1].const_value if node.inputs[1] is not None else None
    assert held is not None
    return [int(size) for size in held.shape.numpy()]


def _lay(graph: ir.Graph, part: Sequence[ir.Node], rank: int, turned: Turned) -> None:
    inside, rows = set(part), dict[ir.Value, ir.Value]()
    for node in part:
        for place, value in enumerate(node.inputs):
            if value is not None and not _constant(value) and value.producer() not in inside:
                rows[value] = rows.get(value) or in_a_row(graph, value)
                node.replace_input_with(place, rows[value])
        turn(graph, node, rank, turned)
    for node in part:
        value = node.outputs[0]
        outside = [use for use in value.uses() if use.node not in inside]
        as_it_was = to_column_or_line(graph, value) if outside or value.is_graph_output() else None
        for use in outside if as_it_was is not None else ():
            use.node.replace_input_with(use.idx, as_it_was)
        value.shape = row_shape(value)
