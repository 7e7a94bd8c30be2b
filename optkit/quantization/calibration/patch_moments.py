"""Moments of what each output of a layer is a weighted sum of: mean(x) and mean(x xᵀ), for convolutions over patches of the input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.calibration.watcher import Watcher
from optkit.quantization.graphs import constant_tensor
from optkit.quantization.operators import attribute, channel_axis

POSITIONS = 256
"""Of each example that are looked at, drawn at random with a fixed seed: neighbours say nearly the same, a regular grid misses stripes."""


def largest_patch(node: ir.Node) -> int:
    """How many weights one output of a layer has."""
    shape = _shape(node)
    return int(np.prod(shape) // shape[channel_axis(node)])


def as_rows(node: ir.Node, array: Array) -> Array:
    """[output, K] with K in the order in which kernels sum: kernel position, then input channel."""
    moved = np.moveaxis(array, channel_axis(node), 0)
    return (np.moveaxis(moved, 1, -1) if moved.ndim > 2 else moved).reshape(len(moved), -1)


@dataclass(frozen=True)
class Moments:
    """Of the K inputs of one output of a layer: mean(x) as [group, K] and mean(x xᵀ) as [group, K, K], over so many rows x."""

    rows: int
    mean: Array
    second: Array
    low: Array
    """Per channel of the tensor: the least and the largest value of an example, averaged over examples."""
    high: Array

    def covariance(self) -> Array:
        """Mean of (x - mean) (x - mean)ᵀ."""
        found: Array = self.second - self.mean[:, :, None] * self.mean[:, None, :]
        return found

    def step(self) -> float:
        """Of the grid that an example gets whose range is read off it."""
        return float(max(self.high.max(initial=0), 0) - min(self.low.min(initial=0), 0)) / 255

    def scaled(self, factor: Array) -> "Moments":
        """Of inputs whose channels are multiplied by factors that are not negative; for matrix products."""
        each = factor.astype(np.float64)
        second = self.second * (each[:, None] * each[None, :]).astype(np.float32)
        return Moments(self.rows, self.mean * each, second, self.low * each, self.high * each)


def patch_moments(model: ir.Model, nodes: Sequence[ir.Node], watcher: Watcher) -> dict[str, Moments]:
    """What the layers read, by name of the node, with K ordered by kernel position, then input channel."""
    sources = list(dict.fromkeys(str(n.inputs[0].name) for n in nodes if n.inputs[0] is not None))
    alike: dict[tuple[object, ...], list[str]] = {}
    first: dict[tuple[object, ...], ir.Node] = {}
    for node in nodes:  # layers that read one tensor in one way share their moments
        alike.setdefault(_reading(node), []).append(str(node.name))
        first.setdefault(_reading(node), node)
    watch = watcher.watch(model, sources)
    sums: dict[tuple[object, ...], tuple[int, int, Array, Array, Array, Array]] = {}
    for done, values in enumerate(watch):
        draw = np.random.default_rng(done)
        for key, node in first.items():
            value = values.get(str(node.inputs[0].name))  # type: ignore[union-attr]
            if value is None or not value.size:
                continue
            real = value.astype(np.float32, copy=False)
            rows = some_rows(node, _shape(node), real, draw)[0]
            times, count, total, squares, low, high = sums.get(key, (0, 0, 0, 0, 0, 0))
            ends = (real.min(axis=_rows_of(node, real)), real.max(axis=_rows_of(node, real)))
            sums[key] = (
                times + 1,
                count + rows.shape[1],
                total + rows.sum(axis=1, dtype=np.float64),
                squares + np.matmul(rows.transpose(0, 2, 1), rows),
                low + ends[0].astype(np.float64),
                high + ends[1].astype(np.float64),
            )
        watcher.progress("looking at what layers read", done + 1, len(watch))
    found = {key: _averages(*each) for key, each in sums.items()}
    return {name: found[key] for key, names in alike.items() if key in found for name in names}


def _averages(times: int, rows: int, total: Array, squares: Array, low: Array, high: Array) -> Moments:
    return Moments(rows, total / max(1, rows), (squares / max(1, rows)).astype(np.float32), low / times, high / times)


def _rows_of(node: ir.Node, value: Array) -> tuple[int, ...]:
    """All axes but the channels'."""
    kept = 1 if node.op_type == "Conv" else value.ndim - 1
    return tuple(a for a in range(value.ndim) if a != kept)


def _reading(node: ir.Node) -> tuple[object, ...]:
    source = str(node.inputs[0].name)  # type: ignore[union-attr]
    if node.op_type != "Conv":
        return (source, "rows")
    settings = sorted((n, str(a.value)) for n, a in node.attributes.items() if n != "kernel_shape")
    return (source, _shape(node)[1:], *settings)


def some_rows(node: ir.Node, shape: Sequence[int], value: Array, draw: np.random.Generator) -> tuple[Array, tuple[Any, ...]]:
    """At most POSITIONS of what single outputs are sums of, [group, position, K], and the index of those outputs.

    `shape` is the weight's. The index is of the layer's output with its channels moved to the end.
    """
    if node.op_type == "Conv":
        return _patches(node, shape, value, draw)
    count = int(np.prod(value.shape[:-1]))
    chosen = np.sort(draw.choice(count, min(count, POSITIONS), replace=False))
    return value.reshape(1, -1, value.shape[-1])[:, chosen], np.unravel_index(chosen, value.shape[:-1])


def _patches(node: ir.Node, shape: Sequence[int], value: Array, draw: np.random.Generator) -> tuple[Array, tuple[Any, ...]]:
    """Some patches of the input as rows, split by group."""
    rank = value.ndim - 2
    kernel = shape[2:]
    dilations, strides = _integers(node, "dilations", rank, 1), _integers(node, "strides", rank, 1)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    padded = np.pad(value, [(0, 0), (0, 0), *_pads(node, value.shape[2:], reach, strides)])
    counts = [(padded.shape[2 + a] - reach[a]) // strides[a] + 1 for a in range(rank)]
    total = len(value) * int(np.prod(counts))
    chosen = np.sort(draw.choice(total, min(total, POSITIONS), replace=False))
    batch, *places = np.unravel_index(chosen, (len(value), *counts))
    taps = np.indices(kernel).reshape(rank, -1)
    where = tuple((places[a] * strides[a])[:, None] + (taps[a] * dilations[a])[None, :] for a in range(rank))
    found = padded[(batch[:, None], slice(None), *where)]  # [position, tap, channel]
    groups = int(attribute(node, "group", 1))
    split = found.reshape(*found.shape[:2], groups, -1).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(split).reshape(groups, len(chosen), -1), (batch, *places)


def _pads(node: ir.Node, size: Sequence[int], reach: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    rank = len(size)
    how = node.attributes["auto_pad"].as_string() if "auto_pad" in node.attributes else "NOTSET"
    if how.startswith("SAME"):
        sums = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(size, strides, reach, strict=True)]
        return [(t // 2, t - t // 2) if how == "SAME_UPPER" else (t - t // 2, t // 2) for t in sums]
    pads = _integers(node, "pads", 2 * rank, 0) if how == "NOTSET" else [0] * (2 * rank)
    return [(pads[a], pads[a + rank]) for a in range(rank)]


def _integers(node: ir.Node, name: str, count: int, default: int) -> list[int]:
    return list(node.attributes[name].as_ints()) if name in node.attributes else [default] * count


def _shape(node: ir.Node) -> tuple[int, ...]:
    tensor = constant_tensor(node.inputs[1])
    assert tensor is not None
    return tuple(int(d) for d in tensor.shape.numpy())
