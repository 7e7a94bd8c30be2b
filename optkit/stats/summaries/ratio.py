"""A sum over a sum."""

import numpy as np

from optkit.arrays import Array
from optkit.stats.summaries import Additive, Rows, divide


class Ratio(Additive):
    """Σ first / Σ second of rows of two numbers: such as errors and the words that they were made in."""

    def __init__(self, values: Array, parts: Rows, labels: Array) -> None:
        self.moments = np.asarray(parts, np.float64).reshape(len(values), 2)

    def of(self, sums: Array) -> Array:
        return divide(sums[:, 0], sums[:, 1])
