"""Layers of a quantized graph made to give what the float model gives: from inputs as they are, with every error made before them.

For each layer in turn its outputs are held against the tensor of the same name in the float model: their mean error goes into the bias,
and what of the error is a linear function of the layer's inputs goes into the weights (least squares with the inputs' covariance, then
rounded in its order as in learned_rounding.py, no integer further than 1 from where it was). Tensors whose channels were scaled on the way
(equalize.py) are compared up to the factor of each channel.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import grid_for
from optkit.quantization.calibration.patch_moments import as_rows, some_rows
from optkit.quantization.calibration.watched import cut
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.channels.divide import APART_TOTAL
from optkit.quantization.graphs import constant_array
from optkit.quantization.integer_graph.integer_layers import IntegerLayer, integer_layers
from optkit.quantization.integer_graph.saturation import has_pairs, worst_pair_sums
from optkit.quantization.rounding.biased_layers import BiasedLayer
from optkit.quantization.rounding.learned_rounding import LARGEST_INPUT, from_rows, round_in_order, row_errors

DAMPING = 0.02
"""Of the mean diagonal of the inputs' covariance, added to it."""
ALIKE = 16
"""Rows of convolutions that say as much as one: neighbours are alike. What the error has in common with the inputs is believed as far as
weights rounded to the nearest explain it (ridge regression with their errors' variance as the prior).
"""
SAME_SCALE = 0.02
"""A channel's factor this close to 1 is 1."""
LIKE = 0.9
"""Correlation of what a layer gives in both models, below which they are not the same tensor."""


@dataclass(frozen=True)
class Compared:
    """What one layer reads and gives, over the examples, beside what it should give."""

    rows: int
    mean: Array
    """[group, K] of the inputs as the layer reads them."""
    covariance: Array
    """[group, K, K]"""
    off: Array
    """[output]: the mean of what is wanted less what is given."""
    against: Array
    """[group, output of it, K]: the covariance of what is wanted less what is given with the inputs."""
    noise: Array
    """[group, output of it]: the variance of what is wanted less what is given."""


def reconstruct(model: ir.Model, original: ir.Model, watcher: Watcher, *, weights: bool) -> int:
    """Decide the biases, and with `weights` the integers, of every layer anew, in place; returns how many layers changed.

    `original` is the float model, with tensors named as in `model`.
    """
    layers = [each for each in integer_layers(model) if as_rows(each.node, each.integers()).shape[1] <= LARGEST_INPUT]
    known = {str(v.name) for n in original.graph for v in n.outputs}
    changed = 0
    for done, layer in enumerate(layers):
        names = same_tensor(layer, known)
        if names is not None and (weights or layer.bias is not None):
            seen = compare_layer(model, original, layer, names, watcher)
            if seen is not None:
                changed += decide_layer(layer, seen, weights=weights)
        watcher.progress("reconstructing layers", done + 1, len(layers))
    return changed


def same_tensor(layer: IntegerLayer | BiasedLayer, known: Collection[str]) -> tuple[str, str] | None:
    """What the layer gives, with or without its bias, and the name among those `known` that it has in the float model."""
    given = [n for n in (layer.output, layer.biased) if n]
    total = _with_channels_apart(layer)
    if total is not None:  # only that is what the float model gives
        given = [total]
    ends = ("", "_float", APART_TOTAL)
    return next(((n, n.removesuffix(end)) for n in given for end in ends if n.removesuffix(end) in known), None)


def _with_channels_apart(layer: IntegerLayer | BiasedLayer) -> str | None:
    """The sum of what the layer gives and of what channels apart give (divide.py)."""
    value, name = layer.node.outputs[0], layer.biased or layer.output
    while value.name != name:
        value = value.consumers()[0].outputs[0]
    sums = [str(n.outputs[0].name) for n in value.consumers() if n.op_type == "Add"]
    return next((n for n in sums if APART_TOTAL in (n.removeprefix(name), name.removeprefix(n))), None)


def compare_layer(model: ir.Model, original: ir.Model, layer: IntegerLayer, names: tuple[str, str], watcher: Watcher) -> Compared | None:
    """What the layer gives, under the first name, beside the float model's tensor of the second; None where they are not the same."""
    ours_name, wanted = names
    sums = _Sums()
    shape = layer.integers().shape
    asked = ((model, [layer.source, ours_name]), (original, [wanted]))
    ours, theirs = (watcher.watch(cut(whole, names), names) for whole, names in asked)
    for place, (here, there) in enumerate(zip(ours.whole(), theirs.whole(), strict=True)):
        if layer.source not in here or ours_name not in here or wanted not in there:
            continue
        value, given, truth = here[layer.source].astype(np.float32), here[ours_name], there[wanted]
        if given.shape != truth.shape:
            return None
        if layer.rounds_input:
            value = grid_for(float(value.min()), float(value.max())).round_trip(value)
        rows, index = some_rows(layer.node, shape, value, np.random.default_rng(place))
        if layer.node.op_type == "Conv":
            given, truth = np.moveaxis(given, 1, -1), np.moveaxis(truth, 1, -1)
        sums.add(rows.astype(np.float64), given[index].astype(np.float64), truth[index].astype(np.float64))
    return sums.compared()


def decide_layer(layer: IntegerLayer, seen: Compared, *, weights: bool) -> bool:
    """Write the layer's better bias and integers into the graph; returns whether anything changed."""
    shift = seen.off
    changed = False
    if weights:
        before = as_rows(layer.node, layer.integers()).astype(np.float64)
        after = better_integers(layer, seen)
        scale = layer.scale.astype(np.float64)[:, None]
        moved = ((after - before) * scale).reshape(len(seen.mean), -1, before.shape[1])
        if moved.any():
            _write(layer.weight, from_rows(layer.node, after.astype(np.int8), layer.integers().shape))
            changed = True
        shift = shift - np.einsum("gok,gk->go", moved, seen.mean).ravel()
    return shift_bias(layer, shift) or changed


def better_integers(layer: IntegerLayer, seen: Compared) -> Array:
    """[output, K]: of each output's weights those that leave less of the error, at most 1 from where they were."""
    held = _steady(seen) if layer.bias is not None else _steady(seen) + seen.mean[:, :, None] * seen.mean[:, None, :]
    before = as_rows(layer.node, layer.integers())
    scale = layer.scale.astype(np.float64)[:, None]
    against = seen.against
    if layer.bias is None:
        against = against + seen.off.reshape(against.shape[:2])[:, :, None] * seen.mean[:, None, :]
    each = np.arange(held.shape[-1])
    believed = np.array(held)
    rows = seen.rows / (ALIKE if layer.node.op_type == "Conv" else 1)
    steps = (scale**2 / 12).reshape(seen.noise.shape)
    believed[:, each, each] += (seen.noise / np.maximum(steps, 1e-30)).mean(axis=1, keepdims=True) / rows
    wished = np.linalg.solve(believed, against.transpose(0, 2, 1)).transpose(0, 2, 1).reshape(before.shape)
    goal = (before * scale + wished) / scale
    sums = worst_pair_sums(layer.node, layer.integers()) if has_pairs(layer.node, layer.integers().shape) else None
    paired = sums is not None and sums[0].max(initial=0) <= 2**15 - 1 and sums[1].min(initial=0) >= -(2**15)
    grouped = (len(held), -1, before.shape[1])
    near = before.astype(np.int16).reshape(grouped)
    after = round_in_order(goal.reshape(grouped).copy(), held, paired, near).reshape(before.shape)
    worse = row_errors(after - goal, held) >= row_errors(before - goal, held)
    after[worse] = before[worse]
    return after


def _steady(seen: Compared) -> Array:
    """The covariance as far as it is believed: in few rows what inputs have in common is partly chance."""
    held = np.array(seen.covariance)
    each = np.arange(held.shape[-1])
    own = np.maximum(held[:, each, each], 0)
    held *= seen.rows / (seen.rows + len(each))
    held[:, each, each] = own + DAMPING * own.mean(axis=1, keepdims=True) + 1e-12
    return held


def shift_bias(layer: IntegerLayer | BiasedLayer, shift: Array) -> bool:
    """Add to the layer's bias, in place; returns whether it changed."""
    held = constant_array(layer.bias)
    if layer.bias is None or held is None or not np.isfinite(shift).all():
        return False
    if layer.bias_scale is None:
        if held.dtype != np.float32 or held.size != shift.size:
            return False
        after: Array = (held + shift.reshape(held.shape)).astype(np.float32)
    else:
        steps = np.clip(np.rint(held.reshape(-1) + shift / layer.bias_scale.astype(np.float64)), -(2**31) + 1, 2**31 - 1)
        after = steps.astype(np.int32).reshape(held.shape)
    _write(layer.bias, after)
    return not np.array_equal(after, held)


def _write(value: ir.Value, array: Array) -> None:
    value.const_value = ir.tensor(np.ascontiguousarray(array), name=value.name)


class _Sums:
    """Moments of inputs and outputs, gathered over examples."""

    def __init__(self) -> None:
        self.rows = 0
        self.parts: list[Array] = []

    def add(self, rows: Array, given: Array, truth: Array) -> None:
        groups = len(rows)
        outs = [np.ascontiguousarray(y.reshape(len(y), groups, -1).transpose(1, 2, 0)) for y in (given, truth)]
        found = [
            rows.sum(axis=1),
            np.matmul(rows.transpose(0, 2, 1), rows),
            *(y.sum(axis=2) for y in outs),
            *(y @ rows for y in outs),
            (outs[0] ** 2).sum(axis=2),
            (outs[0] * outs[1]).sum(axis=2),
            (outs[1] ** 2).sum(axis=2),
        ]
        self.parts = [a + b for a, b in zip(self.parts, found, strict=True)] if self.parts else found
        self.rows += rows.shape[1]

    def compared(self) -> Compared | None:
        if self.rows < 2 or not all(np.isfinite(p).all() for p in self.parts):
            return None
        x, xx, given, truth, given_x, truth_x, given_2, both, truth_2 = (p / self.rows for p in self.parts)
        varies = (given_2 - given**2).sum(), (truth_2 - truth**2).sum()
        factor = np.divide(both, truth_2, out=np.ones_like(both), where=truth_2 > 0)
        factor[np.abs(factor - 1) < SAME_SCALE] = 1
        if (factor <= 0).any() or min(varies) <= 0:
            return None
        left = given_2 - 2 * factor * both + factor**2 * truth_2
        if left.sum() > (1 - LIKE**2) * given_2.sum():
            return None
        off = factor * truth - given
        against = factor[:, :, None] * truth_x - given_x - off[:, :, None] * x[:, None, :]
        return Compared(self.rows, x, xx - x[:, :, None] * x[:, None, :], off.ravel(), against, np.maximum(left - off**2, 0))
