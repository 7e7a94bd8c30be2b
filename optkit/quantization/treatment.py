"""What becomes of each node, and the quantized graph that follows from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.quantization.affine import Grid
from optkit.quantization.compress import compress_tables, compress_weights
from optkit.quantization.graphs import all_graphs, prune_unused
from optkit.quantization.insert_dynamic import can_be_dynamic, insert_dynamic
from optkit.quantization.insert_static import activation_inputs, insert_static, output_of
from optkit.quantization.operators import ELEMENTWISE, FUSED_ACTIVATIONS, MOVERS, activation_after, is_standard, weight_of

Array = np.ndarray[Any, np.dtype[Any]]
Weights = Mapping[str, tuple[Array, Array]]


class Way(StrEnum):
    """How one node computes. A node with no way given stays float."""

    STATIC = "static"
    """Integers in and out, ranges known beforehand."""
    STATIC_FLOAT_OUT = "static, float output"
    """Integers in, float out: right for matrix products whose readers compute in float."""
    DYNAMIC = "dynamic"
    """Integers in, float out, the range read off each input."""


@dataclass(frozen=True)
class Treatment:
    """One way to quantize a whole model."""

    name: str
    ways: Mapping[str, Way] = field(default_factory=dict)
    """Node name → way."""
    compress: bool = True
    """Store the float weights that are left as integers too."""
    untouched: frozenset[str] = frozenset()
    """Nodes whose weights stay float32 in the file as well, because their error shows."""

    def without(self, nodes: Iterable[str]) -> "Treatment":
        """The same, with some nodes left as they were."""
        gone = frozenset(nodes)
        left = {n: w for n, w in self.ways.items() if n not in gone}
        return Treatment(self.name, left, self.compress, self.untouched | gone)


def weighted_nodes(model: ir.Model) -> list[ir.Node]:
    """Every Conv, Gemm and MatMul with a float weight in the main graph, in order."""
    return [n for n in model.graph if weight_of(n) is not None]


def region_nodes(model: ir.Model, seeds: Iterable[ir.Node]) -> list[ir.Node]:
    """Elementwise and moving nodes that can stay in integers because everything they read is made by integer nodes."""
    inside = set(seeds)
    closed = inside | {activation_after(n) for n in inside}
    grown = []
    for node in model.graph:
        if node in closed or not is_standard(node) or node.op_type not in ELEMENTWISE | MOVERS or not _joinable(node):
            continue
        makers = [v.producer() for v in activation_inputs(node)]
        if makers and all(m in closed for m in makers):
            grown.append(node)
            closed |= {node, output_of(node).producer() or node}
    return grown


def _joinable(node: ir.Node) -> bool:
    floats = [*activation_inputs(node), node.outputs[0]]
    return node.op_type != "Softmax" and len(node.outputs) == 1 and all(v.dtype == ir.DataType.FLOAT for v in floats)


def build(model: ir.Model, treatment: Treatment, grids: Mapping[str, Grid], weights: Weights | None = None) -> ir.Model:
    """The quantized graph. `model` is not changed; the same arguments give the same graph."""
    made = model.clone()
    ways = _consistent(made, treatment.ways)
    static = {n for n, w in ways.items() if w in (Way.STATIC, Way.STATIC_FLOAT_OUT)}
    if static:
        float_out = {n for n, w in ways.items() if w is Way.STATIC_FLOAT_OUT}
        insert_static(made, static, shared_grids(made, static, grids), float_out, weights)
    dynamic = {n for n, w in ways.items() if w is Way.DYNAMIC}
    for graph in all_graphs(made):
        insert_dynamic(graph, dynamic, weights)
    prune_unused(made)
    if treatment.compress:
        compress_tables(made)
        compress_weights(made, keep={str(v.name) for n in made.graph if n.name in treatment.untouched for v in n.inputs if v is not None})
        prune_unused(made)
    return made


def _consistent(model: ir.Model, ways: Mapping[str, Way]) -> dict[str, Way]:
    """Elementwise nodes whose inputs are no longer made by integer nodes go back to float."""
    kept = dict(ways)
    weighted = [n for n in model.graph if n.name in kept and weight_of(n) is not None and kept[str(n.name)] is Way.STATIC]
    alive = {n.name for n in region_nodes(model, weighted)} | {n.name for n in weighted}
    for node in model.graph:
        if node.name in kept and weight_of(node) is None and node.name not in alive:
            del kept[str(node.name)]
    return kept


def shared_grids(model: ir.Model, names: Iterable[str], grids: Mapping[str, Grid]) -> dict[str, Grid]:
    """Grids in which what a moving node writes has the grid of what it reads."""
    chosen, result = set(names), dict(grids)
    for node in model.graph:
        if node.name in chosen and node.op_type in MOVERS and str(node.inputs[0].name) in result:  # type: ignore[union-attr]
            result[str(node.outputs[0].name)] = result[str(node.inputs[0].name)]  # type: ignore[union-attr]
    return result


__all__ = ["FUSED_ACTIVATIONS", "Treatment", "Way", "build", "can_be_dynamic", "region_nodes", "weighted_nodes"]
