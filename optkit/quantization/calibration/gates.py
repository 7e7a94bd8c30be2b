"""Ranges of what only a gate reads: x · sigmoid(x) and its like pass next to nothing of large negative values.

Before a SiLU values may reach -100, and the integers that stand for them are lost to those that matter. So the range is the one with
the least squared error behind the gate.
"""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import grid_for
from optkit.quantization.histogram import Histogram
from optkit.quantization.operators import attribute, is_standard

Function = Callable[[Array], Array]

CUTS = np.concatenate([np.linspace(1.0, 0.5, 11), np.geomspace(0.48, 0.02, 32)])
ROUNDS = 2
"""Of searching one end, then the other."""


def gates(model: ir.Model) -> dict[str, Function]:
    """What becomes of each tensor of the main graph that is read by a gate alone, by its name."""
    found = {}
    for node in model.graph:
        function = _gate(node)
        if function is None:
            continue
        value, gate = node.inputs[0], node.outputs[0]
        if value is None or value.is_graph_output() or gate.is_graph_output():
            continue
        readers, after = value.consumers(), gate.consumers()
        products = [r for r in readers if r is not node]
        if len(after) == 1 and products == list(after) and _is_product(products[0], value, gate):
            found[str(value.name)] = function
    return found


def _gate(node: ir.Node) -> Function | None:
    if not is_standard(node):
        return None
    if node.op_type == "Sigmoid":
        return _silu
    if node.op_type == "HardSigmoid":
        slope, offset = float(attribute(node, "alpha", 0.2)), float(attribute(node, "beta", 0.5))
        return lambda values: np.asarray(values * np.clip(slope * values + offset, 0, 1))
    return None


def _is_product(node: ir.Node, value: ir.Value, gate: ir.Value) -> bool:
    return is_standard(node) and node.op_type == "Mul" and set(node.inputs) == {value, gate}


def _silu(values: Array) -> Array:
    return np.asarray(values / (1 + np.exp(-np.clip(values, -80, 80))))


def range_before(seen: Histogram, function: Function, start: tuple[float, float]) -> tuple[float, float]:
    """The range with the least squared error after `function`, found from `start` by cutting each end in turn."""
    values, counts = seen.centres()
    if not len(values):
        return start
    after = function(values)

    def error(low: float, high: float) -> float:
        return float((counts * (after - function(grid_for(low, high).round_trip(values))) ** 2).sum()) if high > low else np.inf

    low, high = min(start[0], 0.0), max(start[1], 0.0)
    ends = min(seen.low, 0.0), max(seen.high, 0.0)
    best = (error(low, high), low, high)
    for _ in range(ROUNDS):
        best = min([best, *((error(cut * ends[0], best[2]), cut * ends[0], best[2]) for cut in CUTS)])
        best = min([best, *((error(best[1], cut * ends[1]), best[1], cut * ends[1]) for cut in CUTS)])
    return best[1], best[2]
