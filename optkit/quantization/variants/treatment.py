"""What becomes of each node."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import onnx_ir as ir

from optkit.quantization.graphs import all_graphs
from optkit.quantization.integer_graph.insert_recurrent import RECURRENT
from optkit.quantization.integer_graph.regions import region_nodes
from optkit.quantization.operators import weight_of, weighted_nodes


class Way(StrEnum):
    """How one node computes. A node with no way given stays float."""

    STATIC = "static"
    """Integers in and out, ranges known beforehand."""
    STATIC_FLOAT_OUT = "static, float output"
    """Integers in, float out: right for matrix products whose readers compute in float."""
    DYNAMIC = "dynamic"
    """Integers in, float out, the range read off each input."""
    GROUPS = "8-bit groups"
    """Float in and out; each group of weights and of inputs is in integers with a scale of its own."""


@dataclass(frozen=True)
class Treatment:
    """One way to quantize a whole model."""

    name: str
    ways: Mapping[str, Way] = field(default_factory=dict)
    """Node name → way."""
    compress: bool = True
    """Store the float weights that are left as integers too."""
    smooth: bool = False
    """Divide outlier channels out of what dynamic matrix products read, or multiply them apart."""
    portable: bool = True
    """Weights such that CPUs that add products in 16 bits give the same answers."""
    group_size: int = 128
    """Weights in a group, where any are in groups."""
    ends: bool = False
    """Elementwise nodes that lead to no integer layer compute in integers too."""
    single: frozenset[str] = frozenset()
    """Layers whose weights have one scale each, in place of one for each output."""
    whole: frozenset[str] = frozenset()
    """Layers whose weights stay as they are, float32 in the file too."""

    given_back: frozenset[str] = frozenset()
    """Nodes that compute in float because ONNX Runtime would have left them in float between integers."""

    @property
    def calibrated(self) -> bool:
        """Whether ranges of activations are part of it."""
        return any(way in (Way.STATIC, Way.STATIC_FLOAT_OUT) for way in self.ways.values())

    def without(self, nodes: Iterable[str]) -> "Treatment":
        """The same, with some nodes left as they were."""
        gone = frozenset(nodes)
        left = {n: w for n, w in self.ways.items() if n not in gone}
        return replace(self, ways=left)


def consistent_ways(model: ir.Model, treatment: Treatment) -> dict[str, Way]:
    """A treatment's ways without the elementwise nodes whose inputs are no longer made by integer nodes: those go back to float."""
    kept = dict(treatment.ways)
    layers = [n for n in weighted_nodes(model) if str(n.name) in kept]
    weighted = [n for n in layers if kept[str(n.name)] is Way.STATIC]
    readers = [n for n in layers if kept[str(n.name)] is Way.STATIC_FLOAT_OUT]
    region = region_nodes(model, weighted, lambda node: node.name in kept, readers=readers, ends=treatment.ends)
    alive = {n.name for n in (*region, *weighted)}
    for node in (n for g in all_graphs(model) for n in g):
        if kept.get(str(node.name)) is Way.STATIC and weight_of(node) is None and node.name not in alive:
            del kept[str(node.name)]
    return kept


def count_ways(model: ir.Model, treatment: Treatment) -> dict[str, dict[str, int]]:
    """How many nodes of each operator compute in which way; weighted ones that stay float count as `float`."""
    counts: dict[str, dict[str, int]] = {}
    kept = consistent_ways(model, treatment)
    for graph in all_graphs(model):
        for node in graph:
            way = kept.get(str(node.name)) or ("float" if weight_of(node) is not None or node.op_type in RECURRENT else None)
            if way is not None:
                ways = counts.setdefault(node.op_type, {})
                ways[str(way)] = ways.get(str(way), 0) + 1
    return counts
