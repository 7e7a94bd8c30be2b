"""Spearman's rank correlation."""

import numpy as np

from optkit.arrays import Array
from optkit.stats.summaries import Rows, Summary, divide


class Spearman(Summary):
    """Pearson's correlation of the ranks of rows of two numbers, answer and label, ties sharing their mean rank."""

    def __init__(self, values: Array, parts: Rows, labels: Array) -> None:
        pairs = np.asarray(parts, np.float64).reshape(len(values), 2)
        self.ranked = [_Ranks(pairs[:, 0]), _Ranks(pairs[:, 1])]

    def under(self, weights: Array) -> Array:
        weights = np.asarray(weights, np.float64)
        total = weights.sum(axis=1, keepdims=True)
        x, y = (ranks.under(weights) - (total + 1) / 2 for ranks in self.ranked)  # the mean of mid-ranks is known
        spread = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
        return np.clip(divide((weights * x * y).sum(axis=1), spread), -1, 1)

    @property
    def width(self) -> int:
        return 6 * len(self.ranked[0].order)


class _Ranks:
    """Ranks from 1 of numbers of which some count several times."""

    def __init__(self, numbers: Array) -> None:
        self.order = np.argsort(numbers, kind="stable")
        ascending = numbers[self.order]
        self.first = np.searchsorted(ascending, numbers, side="left")
        self.past = np.searchsorted(ascending, numbers, side="right")

    def under(self, weights: Array) -> Array:
        upto = np.zeros((len(weights), weights.shape[1] + 1))
        np.cumsum(weights[:, self.order], axis=1, out=upto[:, 1:])
        found: Array = (upto[:, self.first] + upto[:, self.past] + 1) / 2
        return found
