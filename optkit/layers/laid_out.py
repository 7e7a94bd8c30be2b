"""One tensor as another model lays it out: signals as a line, a column or a row, and channels of zeros behind its own."""

from collections.abc import Sequence

import numpy as np

from optkit.arrays import Array
from optkit.quantization.integer_graph.channel_runs import BLOCK

CHANNELS = 1
"""Their axis."""


def without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """Sizes that tell where a number lies."""
    return tuple(size for size in shape if size != 1)


def laid_out(array: Array, like: Sequence[int]) -> Array:
    """The array in the form of `like`, the shape that the other model has for it, perhaps of another example; as it is where none fits."""
    sizes = without_ones(array.shape)
    if len(sizes) == len(without_ones(like)) and [s == 1 for s in array.shape] != [s == 1 for s in like]:
        rest = iter(sizes)
        array = array.reshape([1 if size == 1 else next(rest) for size in like])
    if array.ndim == len(like) and array.ndim > CHANNELS + 1:
        held, wanted = array.shape[CHANNELS], like[CHANNELS]
        if held == wanted + -wanted % BLOCK:
            return array[:, :wanted]
        if wanted == held + -held % BLOCK:
            return np.pad(array, [(0, 0), (0, wanted - held), *[(0, 0)] * (array.ndim - 2)])
    return array
