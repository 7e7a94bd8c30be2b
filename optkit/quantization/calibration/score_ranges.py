"""Ranges of what becomes scores: a detector may show no find in all the examples, and find all the same afterwards.

Before a Sigmoid that gives an output such finds are large numbers, and rare: a range that ends where the examples do, or where the
squared error of all the places without one wants it, would hold every score down.
"""

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from optkit.quantization.fidelity.output_forms import CARRYING, YES_OR_NO
from optkit.quantization.histogram import Histogram

REACH = 4.0
"""Where a Sigmoid has come to within 2 % of its end."""
Ranges = Mapping[str, tuple[float, float]]


def with_room_for_scores(model: ir.Model, found: Ranges, seen: Mapping[str, Histogram]) -> dict[str, tuple[float, float]]:
    """The same ranges, those of tensors that a Sigmoid of an output reads wide enough for what was seen and for what may come."""
    widened = dict(found)
    for name in before_scores(model) & set(found):
        low, high = found[name]
        least, most = (max(seen[name].low, -2 * REACH), min(seen[name].high, 2 * REACH)) if name in seen else (low, high)
        widened[name] = min(low, least, -REACH), max(high, most, REACH)
    return widened


def before_scores(model: ir.Model) -> set[str]:
    """Names of the tensors of the main graph that are carried into a Sigmoid whose result is carried to an output."""
    names: set[str] = set()
    for value in _carried_from(model.graph.outputs):
        node = value.producer()
        if node is not None and node.op_type in YES_OR_NO and node.inputs[0] is not None:
            names |= {str(each.name) for each in _carried_from([node.inputs[0]])}
    return names


def _carried_from(values: Iterable[ir.Value]) -> list[ir.Value]:
    """These and all that are only carried on to become a part of them."""
    found = list(dict.fromkeys(values))
    for value in found:
        node = value.producer()
        if node is not None and node.op_type in CARRYING:
            sources = node.inputs if node.op_type == "Concat" else node.inputs[:1]
            found += [each for each in sources if each is not None and each not in found]
    return found
