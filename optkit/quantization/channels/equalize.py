"""Cross-layer equalization: channels of one tensor get alike ranges, so that its integers serve all of them; the answers stay.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1, generalised from pairs of
layers to everything between them that a factor passes through (channel_ties.py). Since our weights have a scale per output channel,
what has to be weighed is the activations' step, which falls when their channels become alike, against the weights' steps, which grow
when their input channels become unlike. The strength is chosen for each set of tensors tied together by the noise that both add to
what the layers give, and a set that gains little is left alone. How much the noise of each layer matters in the end is unknown, so
every layer counts by how its own noise changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.channel_ranges import ChannelRange, channel_ranges
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.ties import Ties, find_ties, is_seam, scalable_layer
from optkit.quantization.graphs import add_constant, constant_array, prune_unused
from optkit.quantization.integer_graph.insert_static import output_of
from optkit.quantization.operators import attribute, channel_axis

STRENGTHS = tuple(product((0.25, 0.5, 0.75, 1.0), (0.0, 0.25, 0.5)))
"""Exponents of a channel's range and of the weights that read it."""
EXAMPLES = 16
WORTH_IT = 0.9
"""The noise must fall at least to this share of what it was."""
WIDEST = 64.0
"""Of factors, either way: a channel that hardly ever moves is not blown up without end."""


@dataclass(frozen=True)
class _Read:
    """A layer that reads a tensor: |weight| as [output, channel, position], and the groups of the channels.

    A tensor that is only rounded, and read by no layer, counts as read by a depthwise one without weights to round.
    """

    taps: Array
    groups: Array
    seen: ChannelRange
    apart: bool
    """Grouped: |weight| as [group, output of it, channel of it, position]."""
    rounds_weights: bool = True


def equalize_on(model: ir.Model, watcher: Watcher) -> tuple[ir.Model, int]:
    """`equalize` with the channels' ranges seen on some of the examples."""
    axes = tensors_to_equalize(model)
    if not axes:
        return model, 0
    return equalize(model, channel_ranges(model, axes, watcher.spread(EXAMPLES)))


def tensors_to_equalize(model: ir.Model) -> dict[str, int]:
    """Tensors whose channels can be scaled and that layers read or make, with the axis of their channels, counted from the end."""
    ties = find_ties(model)
    return {str(v.name): ties.of[v].axis for v in [*_read_by_layers(model, ties), *_made_by_layers(model, ties)]}


def equalize(model: ir.Model, seen: Mapping[str, ChannelRange]) -> tuple[ir.Model, int]:
    """The same function with channels of alike range, and how many tensors were changed. `model` is not changed itself.

    `seen` gives the channels of `tensors_to_equalize(model)`; tensors that it lacks are left alone.
    """
    made = model.clone()
    ties = find_ties(made)
    reads: dict[ir.Value, list[_Read]] = {}
    for value, nodes in _read_by_layers(made, ties).items():
        if str(value.name) in seen:
            reads[value] = [_read(n, ties, seen[str(value.name)]) for n in nodes]
    for value in _made_by_layers(made, ties):
        if str(value.name) in seen and value not in reads:
            channels = ties.groups(value)
            reads[value] = [_Read(np.ones((len(channels), 1, 1, 1)), channels, seen[str(value.name)], True, rounds_weights=False)]
    factors = np.ones(ties.group.max(initial=0) + 1)
    changed = 0
    for tied in _sets(list(reads), ties):
        found = _best_factors([r for v in tied for r in reads[v]], len(factors))
        if found is not None:
            factors *= found
            changed += len(tied)
    if changed:
        _apply(made, ties, factors)
        prune_unused(made)
    return made, changed


def _read_by_layers(model: ir.Model, ties: Ties) -> dict[ir.Value, list[ir.Node]]:
    found: dict[ir.Value, list[ir.Node]] = {}
    for node in model.graph:
        source = node.inputs[0] if node.inputs else None
        if source is not None and scalable_layer(node) and _free(source, ties):
            found.setdefault(source, []).append(node)
    return found


def _made_by_layers(model: ir.Model, ties: Ties) -> list[ir.Value]:
    outputs = [output_of(n) for n in model.graph if scalable_layer(n) and n.op_type != "MatMul"]
    return [v for v in outputs if _free(v, ties)]


def _free(value: ir.Value, ties: Ties) -> bool:
    return value in ties.of and bool(ties.groups(value).any())


def _sets(values: Sequence[ir.Value], ties: Ties) -> list[list[ir.Value]]:
    """Tensors that share a group belong together."""
    sets: list[tuple[set[int], list[ir.Value]]] = []
    for value in values:
        groups, members = set(ties.groups(value).tolist()) - {0}, [value]
        rest = []
        for other in sets:
            if other[0] & groups:
                groups, members = groups | other[0], other[1] + members
            else:
                rest.append(other)
        sets = [*rest, (groups, members)]
    return [members for _, members in sets]


def _read(node: ir.Node, ties: Ties, seen: ChannelRange) -> _Read:
    weight = constant_array(node.inputs[1])
    assert weight is not None
    moved = np.abs(np.moveaxis(weight, channel_axis(node), 0)).astype(np.float64)
    groups = int(attribute(node, "group", 1)) if node.op_type == "Conv" else 1
    taps = moved.reshape(*moved.shape[:2], -1)
    channels = ties.groups(node.inputs[0])  # type: ignore[arg-type]
    if groups > 1:  # every output as if it read all channels of its group: [group, output of it, channel of it, position]
        taps = taps.reshape(groups, -1, *taps.shape[1:])
    return _Read(taps, channels, seen, groups > 1)


def _best_factors(reads: Sequence[_Read], count: int) -> Array | None:
    ranges, weights = np.zeros(count), np.zeros(count)
    for read in reads:
        wide = np.maximum(read.seen.high, -read.seen.low)
        np.maximum.at(ranges, read.groups, wide / max(wide.max(), 1e-30))
        strong = _per_channel(read, np.max)
        np.maximum.at(weights, read.groups, strong / max(strong.max(), 1e-30))
    ranges, weights = np.clip(ranges, 1 / WIDEST, 1), np.clip(weights, 1 / WIDEST, 1)
    plain = _noises(reads, np.ones(count))
    best: tuple[float, Array | None] = (WORTH_IT, None)
    used = np.unique(np.concatenate([r.groups for r in reads]))
    for by_range, by_weight in STRENGTHS:
        factors = np.ones(count)
        factors[used] = (ranges**by_range / weights**by_weight)[used]
        free = used[used > 0]
        factors[free] /= np.exp(np.log(factors[free]).mean()) if 0 not in used else factors[0]
        factors = np.clip(factors, 1 / WIDEST, WIDEST)
        factors[0] = 1
        noise = float((_noises(reads, factors) / plain).mean())
        if noise < best[0]:
            best = (noise, factors)
    return best[1]


def _per_channel(read: _Read, fold: Any) -> Array:
    """One number per channel read, folded over outputs and positions."""
    if read.apart:
        return np.asarray(fold(read.taps, axis=(1, 3))).reshape(-1)
    return np.asarray(fold(read.taps, axis=(0, 2)))


def _noises(reads: Sequence[_Read], factors: Array) -> Array:
    """Of each read: expected error energy of what the layer gives, from rounding what it reads and from rounding its weights."""
    found = []
    for read in reads:
        s = factors[read.groups]
        step = float((read.seen.high / s).max() - (read.seen.low / s).min()) / 255
        shape = (read.taps.shape[0], 1, -1, 1) if read.apart else (1, -1, 1)
        scaled = read.taps * s.reshape(shape)
        noise = step**2 / 12 * float((scaled**2).sum())
        if read.rounds_weights:
            steps = scaled.max(axis=(-2, -1), keepdims=True) / 127
            noise += float((steps**2 / 12 * (read.seen.variance / s**2).reshape(shape)).sum()) * read.taps.shape[-1]
        found.append(noise)
    return np.maximum(found, 1e-30)


def _apply(model: ir.Model, ties: Ties, factors: Array) -> None:
    """Divide every tensor's channels by their factors: layers and added constants take them in."""
    for node in model.graph:
        if scalable_layer(node) and node.outputs[0] in ties.of:
            _scale_layer(model.graph, node, ties, factors)
        elif is_seam(node):
            _scale_seam(model.graph, node, ties, factors)
        elif node.op_type == "Add":
            for place, value in enumerate(node.inputs):
                array = constant_array(value)
                if array is not None and value is not None and node.outputs[0] in ties.of:
                    channels = ties.of[node.outputs[0]]
                    divisor = factors[ties.group[channels.ids]]
                    if (divisor != 1).any():
                        scaled = array / divisor.reshape(-1, *[1] * (-channels.axis - 1))
                        node.replace_input_with(place, add_constant(model.graph, f"{value.name}_equalized", scaled.astype(array.dtype)))


def _scale_seam(graph: ir.Graph, node: ir.Node, ties: Ties, factors: Array) -> None:
    source, value = node.inputs[0], node.inputs[1]
    array = constant_array(value)
    assert source is not None
    assert value is not None
    assert array is not None
    taken = factors[ties.groups(source)] if source in ties.of else np.ones(1)
    change = (taken / factors[ties.groups(node.outputs[0])]).reshape(-1, 1, 1)
    if (change != 1).any():
        scaled = array * change if node.op_type == "Mul" else array / change
        node.replace_input_with(1, add_constant(graph, f"{value.name}_equalized", scaled.astype(array.dtype)))


def _scale_layer(graph: ir.Graph, node: ir.Node, ties: Ties, factors: Array) -> None:
    source, weight, axis = node.inputs[0], node.inputs[1], channel_axis(node)
    array = constant_array(weight)
    assert source is not None
    assert weight is not None
    assert array is not None
    out = factors[ties.groups(node.outputs[0])]
    taken = factors[ties.groups(source)] if source in ties.of else np.ones(1)
    if (out == 1).all() and (taken == 1).all():
        return
    groups = int(attribute(node, "group", 1)) if node.op_type == "Conv" else 1
    moved = np.moveaxis(array.astype(np.float64), axis, 0)
    rows = np.repeat(np.broadcast_to(taken, (moved.shape[1] * groups,)).reshape(groups, -1), len(moved) // groups, axis=0)
    tail = [1] * (moved.ndim - 2)
    scaled = np.moveaxis(moved * rows.reshape(*rows.shape, *tail) / out.reshape(-1, 1, *tail), 0, axis)
    node.replace_input_with(1, add_constant(graph, f"{weight.name}_equalized", scaled.astype(array.dtype)))
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    held = constant_array(bias)
    if bias is not None and held is not None:
        node.replace_input_with(2, add_constant(graph, f"{bias.name}_equalized", (held / out).astype(held.dtype)))
