"""Second moments of what each output of a layer is a weighted sum of: mean(x xᵀ), for convolutions over patches of the input."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from optkit.quantization.affine import Grid
from optkit.quantization.graphs import constant_tensor
from optkit.quantization.operators import attribute, channel_axis
from optkit.quantization.watch import Feeds, Watch

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[str, int, int], None]

POSITIONS = 256
"""Of each example that are looked at, drawn at random with a fixed seed: neighbours say nearly the same, a regular grid misses stripes."""


def largest_patch(node: ir.Node) -> int:
    """How many weights one output of a layer has."""
    shape = _shape(node)
    return int(np.prod(shape) // shape[channel_axis(node)])


def patch_moments(
    model: ir.Model,
    nodes: Sequence[ir.Node],
    examples: Feeds,
    grids: Mapping[str, Grid],
    *,
    threads: int,
    progress: Progress,
    limit: int | None = None,
) -> dict[str, Array]:
    """[group, K, K] float32 for each node, by name, with K ordered by kernel position, then input channel."""
    sources = list(dict.fromkeys(str(n.inputs[0].name) for n in nodes if n.inputs[0] is not None))
    watch = Watch(model, sources, examples, threads, limit)
    totals: dict[str, Array] = {}
    counts: dict[str, int] = {}
    for done, values in enumerate(watch):
        draw = np.random.default_rng(done)
        for node in nodes:
            name, source = str(node.name), str(node.inputs[0].name)  # type: ignore[union-attr]
            value = values.get(source)
            if value is None or not value.size:
                continue
            real = grids[source].round_trip(value) if source in grids else value.astype(np.float32, copy=False)
            rows = _patches(node, real, draw) if node.op_type == "Conv" else _some(real.reshape(1, -1, real.shape[-1]), draw)
            totals[name] = totals.get(name, 0) + np.matmul(rows.transpose(0, 2, 1), rows)
            counts[name] = counts.get(name, 0) + rows.shape[1]
        progress("looking at what layers read", done + 1, len(watch))
    return {name: (total / max(1, counts[name])).astype(np.float32) for name, total in totals.items()}


def _some(rows: Array, draw: np.random.Generator) -> Array:
    """[group, at most POSITIONS, K]"""
    if rows.shape[1] <= POSITIONS:
        return rows
    return rows[:, draw.choice(rows.shape[1], POSITIONS, replace=False)]


def _patches(node: ir.Node, value: Array, draw: np.random.Generator) -> Array:
    """Some patches of the input as rows, split by group."""
    shape, rank = _shape(node), value.ndim - 2
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
    return np.ascontiguousarray(split).reshape(groups, len(chosen), -1)


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
