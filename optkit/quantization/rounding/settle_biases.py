"""Biases that make up for all errors made before them: every channel of every layer gives on typical examples what it gives in the float
model, on average over each.

bias.py does so for what rounding a layer's own weights and input does. What is left comes from further up: ranges that cut, activations
behind which noise has a mean. So layers are settled in the order of the graph, each from the quantized model as settled so far; those
that compute in float as well, since what is made up for in one layer shows, behind its activation, as an error of the next.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.watched import cut
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.rounding.biased_layers import BiasedLayer, biased_layers
from optkit.quantization.rounding.reconstruct import same_tensor, shift_bias

ROUNDS = 10
TYPICAL, LEAST = 0.5, 1e-3
"""Of the typical and of the mean squared distance: how close to what is common an example weighs no more for being closer still."""


def settle_biases(model: ir.Model, original: ir.Model, watcher: Watcher) -> int:
    """Decide the biases of the layers of `model` anew, in place; returns how many changed.

    `original` is the float model, with tensors named as in `model`, to the same scale.
    """
    known = {str(v.name) for n in original.graph for v in n.outputs}
    found = [(layer, same_tensor(layer, known)) for layer in biased_layers(model)]
    layers = [(layer, *names) for layer, names in found if names is not None]
    if not layers:
        return 0
    truth = _means(original, [(wanted, layer) for layer, _, wanted in layers], watcher)
    changed = 0
    for group in side_by_side([layer for layer, *_ in layers]):
        asked = [(ours, wanted, layer) for layer, ours, wanted in layers if layer in group]
        given = _means(model, [(ours, layer) for ours, _, layer in asked], watcher)
        for ours, wanted, layer in asked:
            if ours in given and wanted in truth and given[ours].shape == truth[wanted].shape:
                changed += shift_bias(layer, believed_shift(truth[wanted] - given[ours]))
        watcher.progress("settling biases", min(changed, len(layers)), len(layers))
    return changed


def believed_shift(differences: Array) -> Array:
    """[channels]: what [examples, channels] have in common, as far as it is more than chance (James and Stein's positive part)."""
    shift, weights = typical_difference(differences)
    several = 1 / np.square(weights).sum()
    chance = weights @ np.square(differences - shift) / max(several - 1, 1)
    return np.asarray(shift * np.maximum(0, 1 - np.divide(chance, shift**2, out=np.ones_like(shift), where=shift != 0)))


def typical_difference(differences: Array) -> tuple[Array, Array]:
    """[channels]: the mean of [examples, channels] in which each example weighs the less the further it is off; [examples]: the weights.

    That minimises the mean of decibels (Cauchy's M-estimator, by weights made anew). A plain mean is what the few hardest examples ask
    for, which are off by ten times as much as others, and it is the others that it then moves away from where they were right.
    """
    common = np.median(differences, axis=0)
    for _ in range(ROUNDS):
        off = np.square(differences - common).sum(axis=1)
        weights = 1 / np.maximum(off + TYPICAL * np.median(off) + LEAST * off.mean(), 1e-30)
        weights /= weights.sum()
        common = weights @ differences
    return common, weights


def side_by_side(layers: Sequence[BiasedLayer]) -> list[list[BiasedLayer]]:
    """The layers in order, those together of which none leads to another."""
    groups: list[list[BiasedLayer]] = []
    behind: set[ir.Node] = set()
    for layer in layers:
        if not groups or layer.node in behind:
            groups.append([])
            behind = set()
        groups[-1].append(layer)
        _walk(layer.node, behind)
    return groups


def _walk(node: ir.Node, behind: set[ir.Node]) -> None:
    """Add what reads a node's outputs, directly or not."""
    waiting = [node]
    while waiting:
        for value in waiting.pop().outputs:
            for reader in value.consumers():
                if reader not in behind:
                    behind.add(reader)
                    waiting.append(reader)


def _means(model: ir.Model, tensors: Sequence[tuple[str, BiasedLayer]], watcher: Watcher) -> dict[str, Array]:
    """[examples, channels] of tensors that layers give, by name."""
    axes = {name: 1 if layer.node.op_type == "Conv" else -1 for name, layer in tensors}
    found: dict[str, list[Array]] = {}
    for values in watcher.watch(cut(model, list(axes)), list(axes)):
        for name, value in values.items():
            if name in axes and value.ndim > 1:
                flat = np.moveaxis(value, axes[name], -1)
                found.setdefault(name, []).append(flat.reshape(-1, flat.shape[-1]).mean(axis=0, dtype=np.float64))
    return {name: np.stack(each) for name, each in found.items() if np.isfinite(each).all()}
