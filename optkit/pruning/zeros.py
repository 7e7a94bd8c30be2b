"""Which single weights become 0: the smallest, or the two smallest of every four. Arrays only, of any framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.errors import UsageError
from optkit.pruning.choice import Scope

Mask = np.ndarray[Any, np.dtype[np.bool_]]
"""True where a weight stays."""
FOUR = 4


def largest_kept(weights: Mapping[str, Array], sparsity: float, scope: Scope) -> dict[str, Mask]:
    """Leave out the smallest magnitudes: `sparsity` of all weights together, or of each tensor; of equal ones the first go.

    Raises UsageError where a tensor would have nothing left.
    """
    if scope == "layer":
        kept = {name: _without_smallest(array.reshape(-1), sparsity).reshape(array.shape) for name, array in weights.items()}
    else:
        flat = np.concatenate([np.abs(array).reshape(-1).astype(np.float32) for array in weights.values()])
        whole, kept, start = _without_smallest(flat, sparsity), {}, 0
        for name, array in weights.items():
            kept[name] = whole[start : start + array.size].reshape(array.shape)
            start += array.size
    for name, mask in kept.items():
        if not mask.any():
            hint = "lower sparsity, take scope: layer, or name it under `exclude`"
            raise UsageError(f"a sparsity of {sparsity:g} leaves {name} none of its {mask.size} weights", hint=hint)
    return kept


def two_of_four(weight: Array, axis: int) -> Mask:
    """Of every four weights in a row along `axis` the two with the largest magnitudes stay; of equal ones the later.

    The length of the axis must be a multiple of four. Exactly two of four go, zeros that were there included.
    """
    rows = np.moveaxis(np.abs(weight), axis, -1)
    fours = rows.reshape(*rows.shape[:-1], rows.shape[-1] // FOUR, FOUR)
    order = np.argsort(fours, axis=-1, kind="stable")
    mask = np.ones(fours.shape, np.bool_)
    np.put_along_axis(mask, order[..., :2], False, axis=-1)
    return np.moveaxis(mask.reshape(rows.shape), -1, axis)


def fits_two_of_four(shape: tuple[int, ...], axis: int) -> bool:
    """Whether the input axis can be cut into fours."""
    return shape[axis] > 0 and shape[axis] % FOUR == 0


def sparsity_of(weights: Mapping[str, Array]) -> float:
    """Share of weights that are exactly 0."""
    total = sum(array.size for array in weights.values())
    return 1 - sum(int(np.count_nonzero(array)) for array in weights.values()) / total if total else 0.0


def _without_smallest(flat: Array, sparsity: float) -> Mask:
    gone = round(flat.size * sparsity)
    mask = np.ones(flat.size, np.bool_)
    if gone:
        mask[np.argsort(np.abs(flat), kind="stable")[:gone]] = False
    return mask
