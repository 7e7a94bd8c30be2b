"""A variant without the nodes that integers and their conversions make slower, by profiles of it and of the float graph."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from optkit.quantization.choosing.cheapest_cut import NEVER, Costs, cheapest_cut
from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_static import activation_inputs
from optkit.quantization.integer_graph.unfused import QUANTIZED
from optkit.quantization.operators import weight_of
from optkit.quantization.variants.node_times import Profile, seconds_in_float, seconds_in_integers, time_of
from optkit.quantization.variants.treatment import Treatment, Way, consistent_ways
from optkit.units import counted

WORTH_TRYING = 0.05
"""Of the variant's time, that another without some nodes must save."""
CONVERTING = 6e-10
"""Seconds for each value, where no conversion of the profile tells."""
AND_BACK = 2.0
"""Conversions come with a change of layout, which takes about as long."""
FEW = 1000
"""Values: less tells nothing of what each takes."""


def without_slow(
    model: ir.Model, start: Treatment, before: Profile, after: Profile, *, worth: float = WORTH_TRYING, doubt: float = 0.0
) -> tuple[Treatment | None, float]:
    """The same with fewer nodes in integers, and the seconds that it should take; None where that saves too little to be tried.

    `before` tells of the float graph `model`, `after` of the variant; `worth` is the share of its time to be saved. A node that gains
    less than the share `doubt` of its time in integers computes in float.
    """
    ways = consistent_ways(model, start)
    given_back, saved = set[str](), 0.0
    for graph in all_graphs(model):
        nodes = [n for n in graph if str(n.name) in ways]
        costs = _costs(nodes, ways, before, after)
        doubted = {name: seconds * (1 + doubt) for name, seconds in costs.integers.items()}
        kept, less = cheapest_cut(nodes, replace(costs, integers=doubted))
        gone = {str(n.name) for n in nodes} - kept
        given_back |= gone
        saved += less - sum(doubted[name] - costs.integers[name] for name in gone)
    if not given_back or saved < worth * after.whole or len(given_back) == len(ways):
        return None, after.whole
    layers = sum(weight_of(n) is not None for g in all_graphs(model) for n in g if str(n.name) in given_back)
    what = counted(layers, "slow layer") if layers else counted(len(given_back), "slow node")
    return replace(start.without(given_back), name=f"{start.name}, {what} in float"), after.whole - saved


def _costs(nodes: Sequence[ir.Node], ways: Mapping[str, Way], before: Profile, after: Profile) -> Costs:
    static = [n for n in nodes if ways[str(n.name)] in (Way.STATIC, Way.STATIC_FLOAT_OUT)]
    each, least = _seconds_of_a_value(after), min(after.seconds.values(), default=0.0)
    values = {v for n in static for v in (*activation_inputs(n), *n.outputs)}
    return Costs(
        integers={str(n.name): seconds_in_integers(n, after) or 0.0 for n in nodes},  # what is not found stays
        floats={str(n.name): _in_float(n, before) for n in nodes},
        crossing={str(v.name): AND_BACK * (least + each * _numbers(v, after)) for v in values},
        reading=frozenset(str(n.name) for n in static),
        writing=frozenset(str(n.name) for n in static if ways[str(n.name)] is Way.STATIC),
    )


def _in_float(node: ir.Node, before: Profile) -> float | None:
    found = seconds_in_float(node, before)
    return NEVER if found is None and weight_of(node) is not None else found


def _numbers(value: ir.Value, after: Profile) -> float:
    """How many a value holds, which are bytes in the variant."""
    maker = value.producer()
    names = [f"{value.name}{QUANTIZED}", *([str(maker.name)] if maker is not None else [])]
    return next((found for name in names if (found := time_of(name, after.written)) is not None), 0)


def _seconds_of_a_value(after: Profile) -> float:
    """That a QuantizeLinear of the profile takes; it writes bytes."""
    told = [after.seconds[n] / after.written[n] for n, op in after.operators.items() if op == "QuantizeLinear" and after.written[n] > FEW]
    return float(np.median(told)) if told else CONVERTING


__all__ = ["WORTH_TRYING", "without_slow"]
