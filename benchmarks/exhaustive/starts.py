"""Treatments that the search starts from: all that optkit knows, and others that mix their ways."""

from collections.abc import Iterator
from dataclasses import replace

import onnx_ir as ir

from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_dynamic import can_be_dynamic
from optkit.quantization.integer_graph.regions import region_nodes
from optkit.quantization.operators import weighted_nodes
from optkit.quantization.variants.candidates import candidates
from optkit.quantization.variants.treatment import Treatment, Way


def starts(model: ir.Model) -> list[Treatment]:
    """optkit's own first; no two with the same nodes in the same ways."""
    own = [*candidates(model, "auto", True), *candidates(model, "weights", True)]
    found: dict[object, Treatment] = {}
    for treatment in [*own, *(mixed for t in own for mixed in _mixed(model, t))]:
        found.setdefault((frozenset(treatment.ways.items()), treatment.smooth, treatment.ends, treatment.group_size), treatment)
    return list(found.values())


def _mixed(model: ir.Model, start: Treatment) -> Iterator[Treatment]:
    products = [str(n.name) for g in all_graphs(model) for n in g if can_be_dynamic(n) and n.name in start.ways]
    static = [n for n in weighted_nodes(model) if start.ways.get(str(n.name)) in (Way.STATIC, Way.STATIC_FLOAT_OUT)]
    if not static:
        return
    held = {str(n.name) for n in static}
    for way in (Way.DYNAMIC, Way.STATIC, Way.STATIC_FLOAT_OUT):
        switched = {name: way for name in products if name in held}
        yield replace(start, name=f"{start.name}, products {way}", ways={**start.ways, **switched})
    around = region_nodes(model, [n for n in static if start.ways[str(n.name)] is Way.STATIC], ends=True)
    yield replace(start, name=f"{start.name}, to the ends", ways={**start.ways, **{str(n.name): Way.STATIC for n in around}}, ends=True)
