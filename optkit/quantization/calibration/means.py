"""Mean of every channel that a layer reads, as it is and as its integers give it back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.affine import Grid
from optkit.quantization.calibration.watcher import Watcher

CHANNELS_SECOND = frozenset({"Conv", "ConvTranspose"})

Source = tuple[str, int]
"""A tensor and the axis of its channels: convolutions and matrix products may read the same tensor."""


@dataclass(frozen=True)
class ChannelMeans:
    """Per channel of a tensor: its mean, and the mean after rounding to the tensor's grid (where it has one)."""

    plain: Array
    rounded: Array | None


def source_of(node: ir.Node) -> Source:
    """What a layer reads first."""
    value = node.inputs[0]
    return str(value.name) if value is not None else "", 1 if node.op_type in CHANNELS_SECOND else -1


def channel_means(model: ir.Model, nodes: Iterable[ir.Node], grids: Mapping[str, Grid], watcher: Watcher) -> dict[Source, ChannelMeans]:
    """Means over all examples and positions of what each node reads first."""
    sources = list(dict.fromkeys(source_of(n) for n in nodes))
    names = list(dict.fromkeys(name for name, _ in sources))
    totals: dict[Source, list[Array]] = {}
    counts: dict[Source, int] = {}
    watch = watcher.watch(model, names)
    for done, values in enumerate(watch):
        for name, axis in sources:
            if name not in values:
                continue
            value, grid = values[name], grids.get(name)
            forms = [value] if grid is None else [value, grid.round_trip(value)]
            means = [_by_channel(form, axis) for form in forms]
            del forms
            held = totals.setdefault((name, axis), [np.zeros_like(m) for m in means])
            totals[name, axis] = [a + b for a, b in zip(held, means, strict=True)]
            counts[name, axis] = counts.get((name, axis), 0) + 1
        watcher.progress("correcting biases", done + 1, len(watch))
    return {s: ChannelMeans(t[0] / counts[s], t[1] / counts[s] if len(t) > 1 else None) for s, t in totals.items()}


def _by_channel(value: Array, axis: int) -> Array:
    kept = axis % value.ndim
    means: Array = value.mean(axis=tuple(a for a in range(value.ndim) if a != kept), dtype=np.float64)
    return means
