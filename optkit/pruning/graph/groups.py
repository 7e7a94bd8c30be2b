"""Dependency groups of an ONNX graph: what must be removed together so that it still computes, and nothing else changes.

A unit is the least that can go: a channel with everything that belongs to it in other tensors, a group of a grouped convolution, an
attention head. A family holds the units that sit in the same weights. What no rule understands stays as it is.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.pruning.graph.channels import Change, Channels
from optkit.pruning.graph.layer_rules import LAYER_RULES, Rule
from optkit.pruning.graph.move_rules import MOVE_RULES
from optkit.pruning.graph.pass_rules import PASS_RULES
from optkit.quantization.graphs import constant_tensor
from optkit.quantization.operators import attribute, is_standard

FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE})
CONTRACTING = frozenset({"Conv", "Gemm", "MatMul", "ConvTranspose"})
CONTRIBUTED = frozenset({"Gelu", "QuickGelu"})
"""Of com.microsoft: element by element."""


@dataclass(frozen=True)
class Family:
    """Units that sit in the same weights; `positions` is how many channels each of them has."""

    name: str
    """The first node that makes them."""
    units: Array
    positions: int
    consumers: tuple[str, ...]
    """Nodes that sum over them."""


@dataclass(frozen=True)
class Groups:
    """What can be removed from a model. Constants and nodes are named, so this holds for every copy of it."""

    families: tuple[Family, ...]
    axes: Mapping[str, Mapping[int, Array]]
    """Constant → axis → the unit of each position; 0 stays."""
    read: Mapping[str, Array]
    """Consumer → the unit of each of its input channels."""
    changes: Sequence[tuple[str, Change]] = field(default=())
    units: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    """The unit of each number that changes speak of."""


def find_groups(model: ir.Model, exclude: Sequence[str] = (), steady: Mapping[str, Sequence[int | None]] | None = None) -> Groups:
    """The groups of the main graph. Nodes that `exclude` (patterns of names or operators) covers keep the channels that they give.

    `steady` gives sizes that were the same on all examples (see `sizes`), for where the graph does not tell them.

    Every node needs a name of its own, constants must be initializers (see `optkit.quantization.float_graph.prepare`).
    """
    channels = Channels(steady=steady or {})
    for node in model.graph:
        rule = _rule(node)
        handled = rule(node, channels) if rule is not None else set()
        if _held(node, exclude):
            channels.freeze_value(node.outputs[0])
        for place, value in enumerate(node.inputs):
            if value is not None and constant_tensor(value) is None:
                for axis, numbers in channels.axes(value).items():
                    if (place, axis) not in handled:
                        channels.freeze(numbers)
    channels.freeze_unclaimed(model.graph)
    return _collect(model, channels)


def matches(node: ir.Node, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(str(node.name), p) or fnmatch.fnmatchcase(node.op_type, p) for p in patterns)


def _held(node: ir.Node, exclude: Sequence[str]) -> bool:
    return node.op_type in CONTRACTING and matches(node, exclude)


def _rule(node: ir.Node) -> Rule | None:
    if node.domain == "com.microsoft" and node.op_type in CONTRIBUTED:
        return PASS_RULES[node.op_type]
    if not is_standard(node):
        return None
    if node.op_type in LAYER_RULES:
        tensor = constant_tensor(node.inputs[1])
        if tensor is not None and tensor.dtype not in FLOATS:
            return None
        return LAYER_RULES[node.op_type]
    return PASS_RULES.get(node.op_type) or MOVE_RULES.get(node.op_type)


def _collect(model: ir.Model, channels: Channels) -> Groups:
    units = channels.settle()
    constants = {v: axes for v, axes in channels.of.items() if constant_tensor(v) is not None}
    axes = {str(v.name): {a: units[n] for a, n in held.items()} for v, held in constants.items()}
    read: dict[str, Array] = {}
    made: dict[str, Array] = {}
    for node in model.graph:
        if node.op_type not in CONTRACTING or node.inputs[1] is None or str(node.inputs[1].name) not in axes:
            continue
        held = axes[str(node.inputs[1].name)]
        into, out = weight_axes(node)
        if into is not None and into in held:
            read[str(node.name)] = held[into]
        if out is not None and out in held:
            made[str(node.name)] = held[out]
    return Groups(_families(axes, read, made), axes, read, channels.changes, units)


def weight_axes(node: ir.Node) -> tuple[int | None, int | None]:
    """The axes of a layer's weight that hold input and output channels; None where a group is what goes."""
    grouped = int(attribute(node, "group", 1)) > 1
    if node.op_type == "Conv":
        return (None, 0) if grouped else (1, 0)
    if node.op_type == "ConvTranspose":
        return (None, 0) if grouped else (0, 1)
    if node.op_type == "Gemm" and attribute(node, "transB", 0):
        return 1, 0
    return 0, 1


def _families(axes: Mapping[str, Mapping[int, Array]], read: Mapping[str, Array], made: Mapping[str, Array]) -> tuple[Family, ...]:
    where: dict[int, list[tuple[str, int, int]]] = {}
    for name, held in axes.items():
        for axis, units in held.items():
            for unit, count in zip(*np.unique(units, return_counts=True), strict=True):
                if unit:
                    where.setdefault(int(unit), []).append((name, axis, int(count)))
    alike: dict[tuple[tuple[str, int, int], ...], list[int]] = {}
    for unit, places in where.items():
        alike.setdefault(tuple(sorted(places)), []).append(unit)
    families = []
    for members in alike.values():
        units = np.array(sorted(members))
        makers = [name for name, held in made.items() if units[0] in held]
        consumers = tuple(name for name, held in read.items() if units[0] in held)
        if makers and consumers and len(units) > 1:
            families.append(Family(makers[0], units, int((made[makers[0]] == units[0]).sum()), consumers))
    order = {name: place for place, name in enumerate(made)}
    return tuple(sorted(families, key=lambda f: (order[f.name], int(f.units[0]))))
