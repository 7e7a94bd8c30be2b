"""What effort high spends next to no time on, where a race shows no loss of speed: the last layers in float.

Behind the last layers of a classifier there is little to compute, so integers gain no time there, and their noise is the answers'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp, inf, log, sqrt

import numpy as np
import onnx_ir as ir

from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_static import activation_inputs
from optkit.quantization.operators import weight_of, weighted_nodes
from optkit.quantization.variants.race import race
from optkit.quantization.variants.treatment import Treatment, Way, consistent_ways
from optkit.quantization.variants.trial import Bench, Trial
from optkit.stats.interval import Interval, Z

LOSS = 1.015
"""Of time: races of a file against itself may give as much."""
RACES = 4
"""At most, while they leave open which side of that it is: where other programs run, one race is off by a hundredth or two."""
SURE = 1e-3
"""Standard error of a ratio's logarithm that no race undercuts."""


def no_slower(bench: Bench, old: Trial, new: Trial, seconds: float) -> bool:
    """In races of the two alone, one after the other until they are sure of it or too many."""
    models, races = [old.path, new.path], list[Interval]()
    while True:
        seed = bench.seed + len(races)
        races.append(race(models, bench.raced, seconds=seconds, threads=bench.threads, device=bench.device, seed=seed)[1])
        found = taken_together(races)
        if found.high <= LOSS or found.low > LOSS or len(races) == RACES:
            return found.value <= LOSS


def taken_together(races: Sequence[Interval]) -> Interval:
    """What several measurements of one ratio say: each weighs as much as it is sure (inverse variances of logarithms)."""
    values = np.log([r.value for r in races])
    errors = np.array([max((log(r.high) - log(max(r.low, 1e-9))) / (2 * Z), SURE) if r.high < inf else inf for r in races])
    if np.isinf(errors).all():
        return Interval(float(np.exp(values.mean())), 0.0, inf)
    weights = errors**-2.0
    value, half = float(weights @ values / weights.sum()), Z / sqrt(float(weights.sum()))
    return Interval(exp(value), exp(value - half), exp(value + half))


def with_float_tail(model: ir.Model, treatment: Treatment) -> Treatment | None:
    """The same without the layers that no other layer in integers follows, and what leads to them alone from the last sum or layer before;
    None where there are only such.
    """
    ways = consistent_ways(model, treatment)
    layers = {n for n in weighted_nodes(model) if str(n.name) in ways}
    leading: set[ir.Node] = set()
    for graph in all_graphs(model):
        for node in reversed(list(graph)):
            if any(reader in leading or reader in layers for value in node.outputs for reader in value.consumers()):
                leading.add(node)
    last = layers - leading
    if not last or last == layers:
        return None
    gone = {str(n.name) for layer in last for n in (layer, *_way_to(layer, ways))}
    return replace(treatment.without(gone), ends=True)


def _way_to(layer: ir.Node, ways: Mapping[str, Way]) -> list[ir.Node]:
    """Nodes in integers with one input, one behind the other, that nothing but `layer` reads."""
    found: list[ir.Node] = []
    node = layer
    while True:
        value = node.inputs[0]
        maker = value.producer() if value is not None and len(value.uses()) == 1 else None
        if maker is None or str(maker.name) not in ways or weight_of(maker) is not None or len(activation_inputs(maker)) > 1:
            return found
        found.append(maker)
        node = maker
