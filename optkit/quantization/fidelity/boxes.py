"""Whether two detectors mean the same boxes, whatever way they are written."""

from collections.abc import Callable

import numpy as np

from optkit.arrays import Array

Reading = Callable[[Array], Array]
"""[places, 4] numbers → the same boxes by two corners."""

PIXELS = 16
"""What numbers must reach to be places in an image; offsets from a cell's place stay far below."""
SHARES = (-0.2, 1.2)
"""Between which they lie as shares of its sides."""
OVERLAP = 0.5
"""Of two boxes by their union, from which they are the same to those who count finds."""
BEYOND = 0.1
"""Share of its size by which a box may stand out of the image."""
MOST = 0.95
"""Share of the boxes that must make sense."""


def reading_of(values: Array) -> Reading | None:
    """How boxes [places, 4] are written, by what makes more sense: two corners, or a centre and sizes; None if neither does."""
    if values.shape[1:] != (4,) or not len(values):
        return None
    low, high = values.min(), values.max()
    if high < PIXELS and not (low >= SHARES[0] and high <= SHARES[1]):
        return None
    centres, sizes = values[:, :2], values[:, 2:]
    inside = (sizes > 0) & (centres - sizes / 2 >= -BEYOND * sizes)
    makes_sense = {from_centres: inside.all(axis=1).mean(), from_corners: (values[:, 2:] > values[:, :2]).all(axis=1).mean()}
    best = max(makes_sense, key=lambda reading: makes_sense[reading])
    return best if makes_sense[best] >= MOST else None


def from_corners(values: Array) -> Array:
    return np.asarray(values, np.float64)


def from_centres(values: Array) -> Array:
    centres, sizes = np.asarray(values[:, :2], np.float64), np.asarray(values[:, 2:], np.float64)
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)


def same_boxes(truth: Array, got: Array) -> Array:
    """At which places two boxes, by their corners, overlap enough."""
    shared = np.concatenate([np.maximum(truth[:, :2], got[:, :2]), np.minimum(truth[:, 2:], got[:, 2:])], axis=1)
    both = _area(shared)
    return np.asarray(both >= OVERLAP * np.maximum(_area(truth) + _area(got) - both, 1e-12))


def _area(corners: Array) -> Array:
    return np.asarray(np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0), axis=1))
