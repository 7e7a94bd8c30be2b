"""Mean of every channel that a layer reads, as it is and as its integers give it back."""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.formats.onnx import save_model
from optkit.quantization.affine import Grid
from optkit.quantization.observe import Feeds, Once, with_outputs
from optkit.runtimes import open_session

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[str, int, int], None]

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


def channel_means(
    model: ir.Model, nodes: Iterable[ir.Node], grids: Mapping[str, Grid], examples: Feeds, *, threads: int, progress: Progress
) -> dict[Source, ChannelMeans]:
    """Means over all examples and positions of what each node reads first."""
    sources = list(dict.fromkeys(source_of(n) for n in nodes))
    names = list(dict.fromkeys(name for name, _ in sources))
    totals: dict[Source, list[Array]] = {}
    with tempfile.TemporaryDirectory(prefix="optkit-") as folder:
        save_model(with_outputs(model, names), Path(folder) / "watched.onnx")
        session = open_session(Path(folder) / "watched.onnx", "cpu", threads)
    for done, values in enumerate(Once(model, session, examples, names)):
        for name, axis in sources:
            value, grid = values[name], grids.get(name)
            forms = [value] if grid is None else [value, grid.round_trip(value)]
            means = [_by_channel(form, axis) for form in forms]
            held = totals.setdefault((name, axis), [np.zeros_like(m) for m in means])
            totals[name, axis] = [a + b for a, b in zip(held, means, strict=True)]
        progress("correcting biases", done + 1, len(examples))
    count = len(examples)
    return {source: ChannelMeans(t[0] / count, t[1] / count if len(t) > 1 else None) for source, t in totals.items()}


def _by_channel(value: Array, axis: int) -> Array:
    kept = axis % value.ndim
    means: Array = value.mean(axis=tuple(a for a in range(value.ndim) if a != kept), dtype=np.float64)
    return means
