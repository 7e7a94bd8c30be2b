"""Each weight becomes the nearest integer of a grid that covers its group."""

import numpy as np

from optkit.arrays import Array
from optkit.quantization.blocks.blocked import Blocked, Scheme, grouped, ungrouped


def round_to_nearest(rows: Array, scheme: Scheme) -> Blocked:
    """`rows` is float [rows, inputs]; every output of the layer is a row."""
    scales, zeros = covering_grid(rows, scheme)
    return on_grid(rows, scales, zeros, scheme)


def covering_grid(rows: Array, scheme: Scheme) -> tuple[Array, Array]:
    """Scales and zero points, [rows, groups], such that zero and the group's extremes are on the grid.

    Symmetric grids have one integer more below the middle than above it: the weight of largest magnitude takes the lowest, with a
    negative scale where it is positive.
    """
    groups = grouped(rows.astype(np.float32, copy=False), scheme.size)
    low, high = np.minimum(groups.min(axis=-1), 0), np.maximum(groups.max(axis=-1), 0)
    if scheme.symmetric:
        furthest = np.where(high > -low, high, low)
        scales = scheme.rounded(furthest / np.float32(-scheme.middle))
        return scales, np.full(scales.shape, scheme.middle, np.uint8)
    scales = scheme.rounded((high - low) / np.float32(scheme.top))
    return scales, np.clip(np.rint(-low / scales), 0, scheme.top).astype(np.uint8)


def on_grid(rows: Array, scales: Array, zeros: Array, scheme: Scheme) -> Blocked:
    """The nearest integers on a given grid."""
    wanted = grouped(rows.astype(np.float32, copy=False), scheme.size) / scales[..., None] + zeros[..., None]
    integers = np.clip(np.rint(wanted), 0, scheme.top).astype(np.uint8)
    return Blocked(ungrouped(integers, rows.shape[1]), scales, zeros, scheme)
