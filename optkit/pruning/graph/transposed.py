"""A ConvTranspose as a matrix: every output is a sum over the inputs whose kernels reach it."""

from collections.abc import Sequence
from math import prod

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.pruning.graph.windows import auto_pad, integers, kernel_of, reach_of, told_pads


def followed(node: ir.Node) -> bool:
    """Whether attributes say plainly where each output lies, and no wished size decides it."""
    return "output_shape" not in node.attributes and auto_pad(node) in ("NOTSET", "VALID")


def summed_rows(weight: Array, groups: int) -> Array:
    """[in, outputs of a group, kernel…] as [group, outputs of it, K]: K is kernel position, then input channel of the group."""
    split = weight.reshape(groups, -1, weight.shape[1], prod(weight.shape[2:]))
    return np.ascontiguousarray(split.transpose(0, 2, 3, 1)).reshape(groups, weight.shape[1], -1)


def weight_from_summed(rows: Array, shape: tuple[int, ...]) -> Array:
    """What `summed_rows` was made from."""
    groups, outputs, _ = rows.shape
    split = rows.reshape(groups, outputs, prod(shape[2:]), -1)
    return np.ascontiguousarray(split.transpose(0, 3, 1, 2)).reshape(shape)


def count_outputs(node: ir.Node, value: Array) -> int:
    """Per channel, given what it reads."""
    return len(value) * prod(_outputs(node, value.shape[2:]))


def patches(node: ir.Node, value: Array, places: Array) -> Array:
    """[place, kernel position, channel]: the input that each kernel position brings to an output, 0 where it brings none."""
    rank, size = value.ndim - 2, value.shape[2:]
    strides, dilations = integers(node, "strides", rank, 1), integers(node, "dilations", rank, 1)
    batch, *at = np.unravel_index(places, (len(value), *_outputs(node, size)))
    taps = np.indices(kernel_of(node)).reshape(rank, -1)
    reached, where = np.ones((len(places), taps.shape[1]), np.bool_), []
    for axis, (before, _) in enumerate(told_pads(node, rank)):
        moved = (at[axis] + before)[:, None] - (taps[axis] * dilations[axis])[None, :]
        source = moved // strides[axis]
        reached &= (moved % strides[axis] == 0) & (source >= 0) & (source < size[axis])
        where.append(np.clip(source, 0, size[axis] - 1))
    found = value[(batch[:, None], slice(None), *where)]
    return np.asarray(np.where(reached[:, :, None], found, 0))


def _outputs(node: ir.Node, size: Sequence[int]) -> list[int]:
    """Along each axis of space."""
    rank = len(size)
    strides, more = integers(node, "strides", rank, 1), integers(node, "output_padding", rank, 0)
    reach = reach_of(kernel_of(node), integers(node, "dilations", rank, 1))
    pads = told_pads(node, rank)
    return [strides[a] * (size[a] - 1) + more[a] + reach[a] - sum(pads[a]) for a in range(rank)]
