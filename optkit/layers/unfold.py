"""Branches that examples take and the first rounds of loops, put into the main graph: what runs there can be looked into."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.datasets import Examples
from optkit.formats.onnx_simplify import remove_unused
from optkit.layers.branches import put_branch_in_place
from optkit.layers.loops import put_first_round_in_front
from optkit.layers.watch import feeds, open_graph
from optkit.measure.feeds import fitted
from optkit.quantization.graphs import share_names

TAKEN = "optkit_taken_"
DECIDED_BY = {"If": slice(1), "Loop": slice(2)}
"""Operator → the inputs that say whether its branch `then`, or a first round, is run: all are true, or above 0."""


@dataclass(frozen=True)
class Unfolded:
    """A model of which as much as possible stands in the main graph."""

    model: ir.Model
    examples: Examples
    """Those that run it so. Where examples choose differently, what most of them choose is followed."""
    beside: int
    """Tensors in the branches that these examples do not take."""


def unfold(model: ir.Model, where: Path, examples: Examples, threads: int, *, fewer: bool = True) -> Unfolded:
    """The model as the examples run it, in place; what differs between examples stays as it is unless `fewer` of them may do.

    Bodies in bodies are followed too: a pass for each depth, in which only what decides is computed.
    """
    share_names(model)
    left: set[ir.Node] = set()
    beside = 0
    while choosing := [node for node in model.graph if node.op_type in DECIDED_BY and node not in left]:
        chosen = _chosen(model, choosing, where, examples, threads)
        if fewer and len(chosen) == len(examples):
            kept = _alike(chosen)
            examples, chosen = examples.take(np.flatnonzero(kept)), chosen[kept]
        for node, column in zip(choosing, chosen.T, strict=True):
            always, ever = bool(column.all()), bool(column.any())
            if node.op_type == "Loop":
                left.add(node)
                if always:
                    put_first_round_in_front(node, model.graph)
            elif always == ever:
                beside += put_branch_in_place(node, always, model.graph)
            else:
                left.add(node)
    return Unfolded(model, examples, beside)


def _chosen(model: ir.Model, choosing: list[ir.Node], where: Path, examples: Examples, threads: int) -> Array:
    """[feeds, nodes] of booleans: whether each takes its branch `then`, or runs a round."""
    copy, wanted = model.clone(), set(choosing)
    twins = [twin for twin, node in zip(copy.graph, model.graph, strict=True) if node in wanted]
    shown: list[ir.Value] = []
    deciding: list[list[str]] = []
    for number, node in enumerate(twins):
        asked = [value for value in node.inputs[DECIDED_BY[node.op_type]] if value is not None]
        reads = [_shown(f"{TAKEN}{number}_{i}", value) for i, value in enumerate(asked)]
        copy.graph.insert_before(node, reads)
        shown += [read.outputs[0] for read in reads]
        deciding.append([str(read.outputs[0].name) for read in reads])
    if not shown:
        return np.ones((1, len(choosing)), dtype=bool)
    copy.graph.outputs[:] = shown
    remove_unused(copy)
    session = open_graph(copy, threads, where)
    rows = []
    for feed in feeds(examples, session):
        found = session.run(fitted(feed, session.inputs), [str(value.name) for value in shown])
        rows.append([_all_true([found[name] for name in names]) for names in deciding])
    return np.array(rows)


def _shown(name: str, value: ir.Value) -> ir.Node:
    """A number that decides, as a float, which any output can be."""
    read = ir.node("Cast", [value], {"to": ir.DataType.FLOAT})
    read.outputs[0].name, read.outputs[0].type = name, ir.TensorType(ir.DataType.FLOAT)
    return read


def _all_true(values: Sequence[Array]) -> bool:
    return all(value.reshape(-1)[0] > 0 for value in values)


def _alike(chosen: Array) -> Array:
    """Which examples choose, node after node, what most of those that are left choose."""
    kept = np.ones(len(chosen), dtype=bool)
    for column in chosen.T:
        kept &= column == (2 * column[kept].sum() >= kept.sum())
    return kept
