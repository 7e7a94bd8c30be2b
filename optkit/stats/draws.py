"""Which units each bootstrap draw takes: examples, or whole groups where examples depend on each other."""

from collections.abc import Iterator

import numpy as np

from optkit.arrays import Array

DRAWS = 2000
CHUNK = 4_000_000
"""Numbers held at a time."""


def group_numbers(groups: Array | None, n: int) -> tuple[Array, int]:
    """For each of `n` examples the number of its group, from 0, and how many groups there are; without groups each is its own."""
    if groups is None or len(groups) == 0:
        return np.arange(n), n
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} examples")
    names, numbers = np.unique(groups, return_inverse=True)
    return numbers.ravel(), len(names)


def drawn_counts(units: int, width: int, seed: int, draws: int = DRAWS) -> Iterator[Array]:
    """How often each unit is drawn, [some draws, units], in parts that keep [some draws, width] small. Units are drawn with replacement."""
    rng = np.random.default_rng(seed)
    size = max(1, CHUNK // max(units, width, 1))
    for start in range(0, draws, size):
        rows = min(size, draws - start)
        picks = rng.integers(0, units, (rows, units))
        # counting all rows at once is faster than a multinomial for many units
        counts = np.bincount((picks + np.arange(rows)[:, None] * units).ravel(), minlength=rows * units)
        yield counts.reshape(rows, units)
