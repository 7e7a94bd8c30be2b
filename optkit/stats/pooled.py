"""Quantiles of the values of several rounds together, however often each round counts."""

from collections.abc import Sequence

import numpy as np

from optkit.arrays import Array

Rounds = Array | Sequence[Array]
"""An array [rounds, k], or an array of any length for each round."""

MOST_VALUES = 20_000
"""More are thinned within their round: evenly spaced order statistics stand for the rest."""


class Pooled:
    """The values of all rounds in ascending order; a round that is drawn twice counts twice."""

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = len(rounds)
        most = max(1, MOST_VALUES // self.rounds)
        kept = [_thinned(np.sort(np.asarray(row, dtype=np.float64).ravel()), most) for row in rounds]
        # a value of a thinned round stands for several
        stands_for = np.concatenate([np.full(len(k), np.size(row) / max(1, len(k))) for k, row in zip(kept, rounds, strict=True)])
        values, numbers = np.concatenate(kept), np.repeat(np.arange(len(kept)), [len(k) for k in kept])
        order = np.argsort(values, kind="stable")
        self.values = values[order]
        self.upto = np.zeros((len(values), self.rounds))
        """How many of the values up to each belong to each round."""
        self.upto[np.arange(len(values)), numbers[order]] = stands_for[order]
        np.cumsum(self.upto, axis=0, out=self.upto)

    def quantiles(self, share: float, drawn: Array) -> Array:
        """One for each row of `drawn`, which says how often each round counts. Definition 2 of Hyndman & Fan (1996), as np.median."""
        total = drawn @ self.upto[-1]
        # rounding of the sums must not move a step: half an observation is far more than they lose
        slack = 1e-9 * total
        at, past = self._first(drawn, share * total - slack), self._first(drawn, share * total + slack)
        found: Array = (self.values[at] + self.values[past]) / 2
        return found

    def _first(self, drawn: Array, wanted: Array) -> Array:
        """For each row, the first value up to which there are as many as wanted; all rows are halved at once."""
        low, high = np.zeros(len(drawn), dtype=np.int64), np.full(len(drawn), len(self.values) - 1)
        while (low < high).any():
            middle = (low + high) // 2
            short = np.einsum("dr,dr->d", drawn, self.upto[middle]) < wanted
            low, high = np.where(short, middle + 1, low), np.where(short, high, middle)
        return low


def _thinned(ascending: Array, most: int) -> Array:
    if len(ascending) <= most:
        return ascending
    return ascending[((np.arange(most) + 0.5) * len(ascending) / most).astype(np.int64)]
