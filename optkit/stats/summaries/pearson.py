"""Pearson's correlation."""

import numpy as np

from optkit.stats.summaries import Additive, Array, Rows, divide


class Pearson(Additive):
    """The linear correlation of rows of two numbers, answer and label; NaN where one of them does not vary."""

    def __init__(self, values: Array, parts: Rows, labels: Array) -> None:
        pairs = np.asarray(parts, np.float64).reshape(len(values), 2)
        pairs = pairs - pairs.mean(axis=0)  # sums of squares of large numbers would lose what differs between them
        spread = np.abs(pairs).max(axis=0)
        x, y = (pairs / np.where(spread > 0, spread, 1)).T
        self.moments = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)

    def of(self, sums: Array) -> Array:
        n, x, y, xx, yy, xy = sums.T
        with np.errstate(invalid="ignore"):
            spread = np.sqrt(np.clip(n * xx - x * x, 0, None) * np.clip(n * yy - y * y, 0, None))
        tiny = 1e-13 * n * n  # what rounding leaves of a number that does not vary
        return np.clip(divide(n * xy - x * y, np.where(spread > tiny, spread, 0)), -1, 1)
