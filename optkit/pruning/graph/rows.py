"""Layers as matrices: weights as rows, what they read as rows of the same order, and the outputs that go with those.

A ConvTranspose has two such forms. What it reads is worth what all kernel positions make of an input: then each of them is an output of
its own. With `summed`, outputs are what the layer gives, sums over the kernel positions that reach them. Other layers have one form.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.pruning.graph import transposed
from optkit.pruning.graph.layer_rules import shape_of
from optkit.pruning.graph.windows import auto_pad, integers, kernel_of, reach_of, told_pads
from optkit.quantization.operators import attribute


def groups_of(node: ir.Node) -> int:
    return int(attribute(node, "group", 1)) if node.op_type in ("Conv", "ConvTranspose") else 1


def weight_rows(node: ir.Node, weight: Array, *, summed: bool = False) -> Array:
    """[group, outputs of it, K]: K is kernel position, then input channel; of a ConvTranspose that is not summed, the channel alone."""
    if node.op_type == "Conv":
        rows = np.moveaxis(weight, 1, -1).reshape(len(weight), -1)
        return rows.reshape(groups_of(node), -1, rows.shape[1])
    if node.op_type == "ConvTranspose":
        groups = groups_of(node)
        return transposed.summed_rows(weight, groups) if summed else weight.reshape(groups, -1, prod(weight.shape[1:])).transpose(0, 2, 1)
    return (weight if _transposed(node) else weight.T)[None]


def weight_from_rows(node: ir.Node, rows: Array, shape: tuple[int, ...], *, summed: bool = False) -> Array:
    """What `weight_rows` was made from."""
    if node.op_type == "ConvTranspose":
        return transposed.weight_from_summed(rows, shape) if summed else np.ascontiguousarray(rows.transpose(0, 2, 1)).reshape(shape)
    if node.op_type == "Conv":
        return np.ascontiguousarray(np.moveaxis(rows.reshape(shape[0], *shape[2:], shape[1]), -1, 1))
    return np.ascontiguousarray(rows[0] if _transposed(node) else rows[0].T)


def columns_of(node: ir.Node, channels: Array) -> Array:
    """The input channel's entry in `channels` for each of the K columns; of a layer without groups."""
    shape = shape_of(node.inputs[1])
    assert shape is not None
    return np.tile(channels, prod(shape[2:])) if node.op_type == "Conv" else channels


def weights_per_output(node: ir.Node) -> int:
    """K of the summed form: weights per output."""
    shape = shape_of(node.inputs[1])
    assert shape is not None
    if node.op_type == "ConvTranspose":
        return shape[0] // groups_of(node) * prod(shape[2:])
    return prod(shape[1:]) if node.op_type == "Conv" or _transposed(node) else shape[0]


def input_rows(node: ir.Node, value: Array, places: Array, *, summed: bool = False) -> Array:
    """[group, place, K] float64 of what the outputs at `places` (see `count_places`) are sums of."""
    if node.op_type == "Conv":
        found = _patches(node, value, places)
    elif node.op_type == "ConvTranspose" and summed:
        found = transposed.patches(node, value, places)
    else:
        moved = np.moveaxis(value, 1, -1) if node.op_type == "ConvTranspose" else value
        found = moved.reshape(-1, moved.shape[-1])[places][:, None, :]
    groups = groups_of(node)
    split = found.reshape(*found.shape[:2], groups, -1).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(split, dtype=np.float64).reshape(groups, len(places), -1)


def output_rows(node: ir.Node, value: Array, places: Array) -> Array:
    """[place, output channel] float64"""
    moved = np.moveaxis(value, 1, -1) if node.op_type in ("Conv", "ConvTranspose") else value
    return np.asarray(moved.reshape(-1, moved.shape[-1])[places], dtype=np.float64)


def count_places(node: ir.Node, value: Array, *, summed: bool = False) -> int:
    """How many outputs (of a ConvTranspose that is not summed: inputs) there are per channel, given what the node reads."""
    if node.op_type == "Conv":
        return len(value) * prod(_geometry(node, value.shape[2:])[1])
    if node.op_type == "ConvTranspose" and summed:
        return transposed.count_outputs(node, value)
    return int(value.size) // int(value.shape[1 if node.op_type == "ConvTranspose" else -1])


def _patches(node: ir.Node, value: Array, places: Array) -> Array:
    """[place, kernel position, channel]"""
    pads, counts, dilations, strides = _geometry(node, value.shape[2:])
    kernel, rank = kernel_of(node), value.ndim - 2
    padded = np.pad(value, [(0, 0), (0, 0), *pads])
    batch, *at = np.unravel_index(places, (len(value), *counts))
    taps = np.indices(kernel).reshape(rank, -1)
    where = tuple((at[a] * strides[a])[:, None] + (taps[a] * dilations[a])[None, :] for a in range(rank))
    return np.asarray(padded[(batch[:, None], slice(None), *where)])


def _geometry(node: ir.Node, size: Sequence[int]) -> tuple[list[tuple[int, int]], list[int], list[int], list[int]]:
    """Pads, outputs, dilations and strides along each axis of space."""
    rank, how = len(size), auto_pad(node)
    dilations, strides = integers(node, "dilations", rank, 1), integers(node, "strides", rank, 1)
    reach, pads = reach_of(kernel_of(node), dilations), told_pads(node, rank)
    if how.startswith("SAME"):
        sums = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(size, strides, reach, strict=True)]
        pads = [(t // 2, t - t // 2) if how == "SAME_UPPER" else (t - t // 2, t // 2) for t in sums]
    counts = [(n + sum(p) - r) // s + 1 for n, p, r, s in zip(size, pads, reach, strides, strict=True)]
    return pads, counts, dilations, strides


def _transposed(node: ir.Node) -> bool:
    return node.op_type == "Gemm" and bool(attribute(node, "transB", 0))
