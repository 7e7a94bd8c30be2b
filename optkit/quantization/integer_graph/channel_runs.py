"""Where channels run from the convolutions that make them to those that read them, and nothing else minds how many there are."""

from dataclasses import dataclass, field
from math import prod

import onnx_ir as ir

from optkit.quantization.graphs import constant_tensor
from optkit.quantization.operators import attribute, is_standard

BLOCK = 16
"""Channels that kernels on x86 take at once (see fill_outputs.py)."""
MOST = 2
"""Times as many channels as before, at most."""
LEAST_PLACES = 256
"""Of what a convolution with few outputs writes: less is not worth the weights."""
ALONG = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "GlobalAveragePool"}
    | {"AveragePool", "MaxPool", "Identity"}
)
"""What works on each channel alone, all of them alike; what comes of zeros is read with weights of zero."""
TOGETHER = frozenset({"Add", "Mul"})


@dataclass
class Run:
    """Values that get more channels, and the convolutions that make them, read them, or do both (depthwise)."""

    values: set[ir.Value] = field(default_factory=set)
    makers: dict[ir.Node, None] = field(default_factory=dict)
    readers: dict[ir.Node, None] = field(default_factory=dict)
    both: dict[ir.Node, None] = field(default_factory=dict)


def filter_shape(node: ir.Node) -> tuple[int, ...] | None:
    """Of a convolution's constant weight, in integers or not, that no other node reads."""
    if node.op_type != "Conv" or not is_standard(node) or node.inputs[1] is None:
        return None
    held = constant_tensor(held_by(node.inputs[1]))
    return None if held is None or len(held.shape) < 3 else tuple(int(size) for size in held.shape.numpy())


def held_by(value: ir.Value | None) -> ir.Value | None:
    """The constant itself, also behind a DequantizeLinear that one node reads."""
    maker = value.producer() if value is not None else None
    if maker is not None and maker.op_type == "DequantizeLinear" and is_standard(maker):
        return maker.inputs[0] if value is not None and len(value.uses()) == 1 else None
    return value


def gains(node: ir.Node, shape: tuple[int, ...]) -> bool:
    """Whether a convolution, with weights of this shape, takes less time with more channels of zeros."""
    outputs, groups = shape[0], int(attribute(node, "group", 1))
    if not outputs % BLOCK or outputs + -outputs % BLOCK > MOST * outputs:
        return False
    if groups == outputs and shape[1] == 1:
        return True
    places = [size if isinstance(size, int) else 0 for size in list(node.outputs[0].shape or ())[2:]]
    return groups == 1 and outputs < BLOCK and prod(places) >= LEAST_PLACES


def outputs_to_be(node: ir.Node, shape: tuple[int, ...]) -> int:
    """How many outputs a convolution of floats has when it and those around it compute in integers."""
    filled = shape[0] + -shape[0] % BLOCK
    if node.op_type != "Conv" or filled == shape[0] or not isinstance(node.graph, ir.Graph) or filter_shape(node) is None:
        return shape[0]
    run = run_around(node.graph, node.outputs[0], shape[0])
    widened = [] if run is None else [n for n in (*run.makers, *run.both) if gains(n, filter_shape(n) or shape)]
    return filled if widened else shape[0]


def run_around(graph: ir.Graph, start: ir.Value, channels: int) -> Run | None:
    """Everything that must be widened with a value; None where it meets what cannot be."""
    run, waiting = Run(), [start]
    while waiting:
        value = waiting.pop()
        if value in run.values:
            continue
        maker = value.producer()
        if maker is None or maker.graph is not graph or value.is_graph_output():
            return None
        run.values.add(value)
        for node, place in ((maker, -1), *((use.node, use.idx) for use in value.uses())):
            more = _through(run, graph, node, place, channels)
            if more is None:
                return None
            waiting += more
    return run


def _through(run: Run, graph: ir.Graph, node: ir.Node, place: int, channels: int) -> list[ir.Value] | None:
    """The values that are widened with one that a node makes (`place` -1) or reads there; None where the node does not allow it."""
    if node.graph is not graph or not is_standard(node) or len(node.outputs) != 1:
        return None
    if node.op_type == "Conv" and place <= 0:
        shape, groups = filter_shape(node), attribute(node, "group", 1)
        given = [held_by(v) for v in node.inputs[1:] if v is not None]
        if shape is None or (place < 0 and shape[0] != channels) or any(constant_tensor(v) is None for v in given):
            return None
        if groups == 1 and (place < 0 or shape[1] == channels):
            (run.makers if place < 0 else run.readers)[node] = None
            return []
        if groups != channels or shape[:2] != (channels, 1) or node.inputs[0] is None:
            return None
        run.both[node] = None
        return [node.inputs[0], node.outputs[0]]
    single = all(v is None or (constant_tensor(v) is not None and constant_tensor(v).size == 1) for v in node.inputs[1:])  # type: ignore[union-attr]
    if node.op_type in ALONG and place <= 0 and single and node.inputs[0] is not None:
        return [node.inputs[0], node.outputs[0]]
    computed = [v for v in node.inputs if v is not None and not _single(v)]
    return [*computed, node.outputs[0]] if node.op_type in TOGETHER else None


def _single(value: ir.Value) -> bool:
    held = constant_tensor(held_by(value))
    return held is not None and held.size == 1
