"""Branches that the examples take, in place of the `If` nodes that choose them: what runs is then one graph, and can be looked into.

Tensors keep their names. Bodies of loops stay as they are, with the branches in them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.formats.onnx_simplify import remove_unused
from optkit.layers.watch import feeds, open_graph
from optkit.measure.feeds import fitted
from optkit.quantization.graphs import fresh_name, share_names

TAKEN = "optkit_taken_"
BRANCHES = {True: "then_branch", False: "else_branch"}


@dataclass(frozen=True)
class Unfolded:
    """A model in which as many branches as possible stand in the main graph."""

    model: ir.Model
    examples: Examples
    """Those that take them. Where examples choose differently, what most of them choose is followed."""
    beside: int
    """Tensors in the branches that these examples do not take."""


def unfold(model: ir.Model, where: Path, examples: Examples, threads: int, *, fewer: bool = True) -> Unfolded:
    """The model as the examples run it, in place; nodes whose branch differs between examples stay as they are unless `fewer` may do.

    Branches in branches are followed too: a round for each depth, in which only what decides is computed.
    """
    share_names(model)
    left: set[ir.Node] = set()
    beside = 0
    while choosing := [node for node in model.graph if node.op_type == "If" and node not in left]:
        chosen = _chosen(model, choosing, where, examples, threads)
        if fewer and len(chosen) == len(examples):
            kept = _alike(chosen)
            examples, chosen = examples.take(np.flatnonzero(kept)), chosen[kept]
        for node, column in zip(choosing, chosen.T, strict=True):
            if column.all() != column.any():
                left.add(node)
                continue
            beside += sum(1 for _ in _computed_in(node.attributes[BRANCHES[not column[0]]].as_graph()))
            _put_in_place(node, node.attributes[BRANCHES[bool(column[0])]].as_graph(), model.graph)
    return Unfolded(model, examples, beside)


def _chosen(model: ir.Model, choosing: list[ir.Node], where: Path, examples: Examples, threads: int) -> Array:
    """[feeds, nodes] of booleans: which branch each takes."""
    copy, wanted = model.clone(), set(choosing)
    twins = [twin for twin, node in zip(copy.graph, model.graph, strict=True) if node in wanted]
    shown = []
    for number, node in enumerate(twins):
        read = ir.node("Identity", [node.inputs[0]])
        read.outputs[0].name, read.outputs[0].type = f"{TAKEN}{number}", ir.TensorType(ir.DataType.BOOL)
        copy.graph.insert_before(node, read)
        shown.append(read.outputs[0])
    copy.graph.outputs[:] = shown
    remove_unused(copy)
    session = open_graph(copy, threads, where)
    names = [str(value.name) for value in shown]
    rows = []
    for feed in feeds(examples, session):
        found = session.run(fitted(feed, session.inputs), names)
        rows.append([bool(found[name].reshape(-1)[0]) for name in names])
    return np.array(rows)


def _alike(chosen: Array) -> Array:
    """Which examples choose, node after node, what most of those that are left choose."""
    kept = np.ones(len(chosen), dtype=bool)
    for column in chosen.T:
        kept &= column == (2 * column[kept].sum() >= kept.sum())
    return kept


def _computed_in(graph: ir.Graph) -> Iterator[ir.Value]:
    for part in (graph, *graph.subgraphs()):
        for node in part:
            if node.op_type != "Constant":
                yield from node.outputs


def _put_in_place(node: ir.Node, branch: ir.Graph, graph: ir.Graph) -> None:
    """A branch's nodes and constants where the `If` stands; what it gives takes the names of the node's outputs."""
    given, moved, constants = list(branch.outputs), list(branch), list(branch.initializers.values())
    for name in BRANCHES.values():
        node.attributes.pop(name)
    branch.outputs.clear()
    branch.initializers.clear()
    branch.remove(moved)
    around = set(_names(graph))
    for value in (*constants, *(v for inner in moved for v in inner.outputs)):
        if value.name in around:  # branches may use the same names
            value.name = fresh_name(graph, str(value.name))
    for constant in constants:
        graph.register_initializer(constant)
    graph.insert_before(node, moved)
    own = {value for inner in moved for value in inner.outputs}
    for outer, value in zip(node.outputs, given, strict=True):
        if value not in own:  # a constant, or handed on from around the branch, or given twice
            copy = ir.node("Identity", [value])
            graph.insert_before(node, copy)
            value = copy.outputs[0]
        own.discard(value)
        outer.replace_all_uses_with(value, replace_graph_outputs=True)
        value.type = value.type or outer.type
        value.shape = outer.shape if value.shape is None else value.shape
        value.name, outer.name = outer.name, None
    graph.remove(node, safe=True)


def _names(graph: ir.Graph) -> Iterator[str]:
    for part in (graph, *graph.subgraphs()):
        yield from part.initializers
        yield from (str(value.name) for value in (*part.inputs, *(v for node in part for v in node.outputs)))
