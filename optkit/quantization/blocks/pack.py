"""The bytes in which ONNX Runtime and standard operators read blocked weights."""

import numpy as np

from optkit.arrays import Array
from optkit.quantization.blocks.blocked import Blocked, grouped


def packed_integers(weight: Blocked) -> Array:
    """uint8 [rows, groups, bytes of a group]: the lower half of a byte holds the first of two 4-bit integers (MatMulNBits)."""
    groups = grouped(weight.integers, weight.scheme.size)
    missing = weight.integers.shape[1] % weight.scheme.size
    if missing:  # what fills up the last group stands for zero
        groups[:, -1, missing:] = weight.zeros[:, -1:]
    return _pairs(groups) if weight.scheme.bits == 4 else np.ascontiguousarray(groups)


def packed_zeros(weight: Blocked) -> Array | None:
    """uint8 [rows, bytes]; None where every zero point is the middle, which needs no saying."""
    if weight.scheme.symmetric:
        return None
    if weight.scheme.bits == 8:
        return weight.zeros
    odd = weight.zeros.shape[1] % 2
    return _pairs(np.pad(weight.zeros, [(0, 0), (0, odd)]))


def stored_scales(weight: Blocked) -> Array:
    return weight.scales.astype(np.float16 if weight.scheme.half else np.float32)


def halves(weight: Blocked) -> Array:
    """uint8 [rows, groups, size / 2]: the lower halves of the bytes hold the first half of a group, the upper ones the second."""
    groups = grouped(weight.integers, weight.scheme.size)
    middle = weight.scheme.size // 2
    return np.ascontiguousarray(groups[..., :middle] | (groups[..., middle:] << 4))


def _pairs(integers: Array) -> Array:
    return np.ascontiguousarray(integers[..., 0::2] | (integers[..., 1::2] << 4))
