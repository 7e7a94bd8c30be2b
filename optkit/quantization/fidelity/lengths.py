"""Answers as long as the original's: a loop that decides itself when to end gives as many rows as it takes."""

from collections.abc import Mapping, Sequence

import numpy as np

from optkit.arrays import Array


def varying_axes(answers: Sequence[Mapping[str, Array]]) -> dict[str, frozenset[int]]:
    """Axes along which the size of an output differs between examples, by output; empty where all are alike, or ranks differ."""
    found = {}
    for name in set.intersection(*(set(a) for a in answers)) if answers else ():
        shapes = {a[name].shape for a in answers}
        if len({len(shape) for shape in shapes}) == 1:
            found[name] = frozenset(axis for axis, sizes in enumerate(zip(*shapes, strict=True)) if len(set(sizes)) > 1)
    return found


def as_long(got: Mapping[str, Array], truth: Mapping[str, Array], axes: Mapping[str, frozenset[int]]) -> dict[str, Array]:
    """The same answers; what was given beyond the truth's length is cut off, what is missing is zeros, so that it counts as noise.

    Only along `axes`: elsewhere another size stays the mistake that it is.
    """
    return {n: _fitted(a, truth[n].shape, axes.get(n, frozenset())) if n in truth else a for n, a in got.items()}


def _fitted(values: Array, shape: tuple[int, ...], axes: frozenset[int]) -> Array:
    other = [axis for axis, (is_, wanted) in enumerate(zip(values.shape, shape, strict=False)) if is_ != wanted]
    if values.ndim != len(shape) or not other or not axes.issuperset(other):
        return values
    kept = values[tuple(slice(size) for size in shape)]
    return np.pad(kept, [(0, wanted - is_) for is_, wanted in zip(kept.shape, shape, strict=True)])
