"""What products read: mean(x xᵀ) of their inputs over the examples, for as many weights at a time as memory allows."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.blocks.layers import Reader, Weight
from optkit.quantization.calibration.patch_moments import patch_moments
from optkit.quantization.calibration.watcher import Watcher

LARGEST_INPUT = 8192
"""Inputs of a row: H has that many squared elements."""
BYTES_AT_ONCE = 256 << 20


def moments_of(model: ir.Model, weights: Sequence[Weight], watcher: Watcher | None) -> Iterator[tuple[Weight, Array | None]]:
    """Each weight with its H, [inputs, inputs] float32; None for tables, for weights in branches and loop bodies, for rows that are too
    long and without examples. What reads the same tensor shares one H.
    """
    sources = {w.name: _reader(model, w) for w in weights}
    if watcher is None:
        yield from ((w, None) for w in weights)
        return
    for part in _portions(weights, sources):
        nodes = {_read_by(node): node for w in part if (node := sources[w.name]) is not None}
        found = patch_moments(model, list(nodes.values()), watcher) if nodes else {}
        by_tensor = {tensor: found[str(node.name)].second for tensor, node in nodes.items() if str(node.name) in found}
        for weight in part:
            node = sources[weight.name]
            held = by_tensor.get(_read_by(node)) if node is not None else None
            yield weight, held[0] if held is not None and np.isfinite(held).all() else None


def _reader(model: ir.Model, weight: Weight) -> ir.Node | None:
    """The first product in the main graph that reads the weight."""
    if weight.shape[1] > LARGEST_INPUT:
        return None
    return next((u.node for u in weight.uses if u.reader is not Reader.GATHER and u.node.graph is model.graph), None)


def _read_by(node: ir.Node) -> str:
    return str(node.inputs[0].name)  # type: ignore[union-attr]


def _portions(weights: Sequence[Weight], sources: dict[str, ir.Node | None]) -> Iterator[list[Weight]]:
    part: list[Weight] = []
    seen: set[str] = set()
    used = 0
    for weight in weights:
        node = sources[weight.name]
        fresh = node is not None and _read_by(node) not in seen
        size = 8 * weight.shape[1] ** 2 if fresh else 0
        if part and used + size > BYTES_AT_ONCE:
            yield part
            part, seen, used = [], set(), 0
            size = 8 * weight.shape[1] ** 2 if node is not None else 0
        part.append(weight)
        used += size
        if node is not None:
            seen.add(_read_by(node))
    if part:
        yield part
