"""What effort high spends next to no time on, where a race shows no loss of speed: the last layers in float.

Behind the last layers of a classifier there is little to compute, so integers gain no time there, and their noise is the answers'.
"""

from collections.abc import Mapping
from dataclasses import replace

import onnx_ir as ir

from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_static import activation_inputs
from optkit.quantization.operators import weight_of, weighted_nodes
from optkit.quantization.variants.race import race
from optkit.quantization.variants.treatment import Treatment, Way, consistent_ways
from optkit.quantization.variants.trial import Bench, Trial

LOSS = 1.01
"""Of time: a race of a file against itself may give as much."""


def no_slower(bench: Bench, old: Trial, new: Trial, seconds: float) -> bool:
    """In a race of the two alone."""
    models = [old.path, new.path]
    return race(models, bench.raced, seconds=seconds, threads=bench.threads, device=bench.device, seed=bench.seed)[1].value <= LOSS


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
