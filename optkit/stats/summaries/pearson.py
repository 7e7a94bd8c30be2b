"""Pearson's correlation."""

import numpy as np

from optkit.arrays import Array
from optkit.stats.summaries import Additive, Rows, divide


class Pearson(Additive):
    """The linear correlation of rows of two numbers, answer and label; NaN where one of them does not vary."""

    def __init__(self, values: Array, parts: Rows, labels: Array) -> None:
        pairs = np.asarray(parts, np.float64).reshape(len(values), 2)
        rounding = 1e-14 * np.abs(pairs).max(axis=0, initial=0)
        pairs = pairs - pairs.mean(axis=0)  # sums of squares of large numbers would lose what differs between them
        spread = np.abs(pairs).max(axis=0, initial=0)
        x, y = (pairs / np.where(spread > rounding, spread, np.inf)).T
        self.moments = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)

    def of(self, sums: Array) -> Array:
        n, x, y, xx, yy, xy = sums.T
        nothing = 1e-13 * n * n  # what rounding leaves of a number that does not vary
        vary = [np.where(each > nothing, each, 0) for each in (n * xx - x * x, n * yy - y * y)]
        return np.clip(divide(n * xy - x * y, np.sqrt(vary[0] * vary[1])), -1, 1)
