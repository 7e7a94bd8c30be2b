"""Differences between two models that answered the same examples: after minus before, with a 95 % interval."""

from typing import Any

import numpy as np

from optkit.stats.draws import drawn_counts, group_numbers
from optkit.stats.interval import Interval, Z, of_draws

Array = np.ndarray[Any, np.dtype[Any]]

MANY = 20_000
"""Independent units from which a bootstrap of a mean and the normal interval agree to three digits."""


def mean_difference(before: Array, after: Array, groups: Array | None = None, seed: int = 0) -> Interval:
    """mean(after) − mean(before) of scores of the same examples.

    Paired bootstrap over examples, or over groups of examples that depend on each other (a cluster bootstrap: whole groups are drawn).
    Raises ValueError when lengths differ.
    """
    difference = _paired(after, before)
    numbers, count = group_numbers(groups, len(difference))
    value = float(difference.mean())
    if count >= MANY:
        return _normal(difference - value, numbers, count, value)
    sums = np.bincount(numbers, weights=difference, minlength=count)
    sizes = np.bincount(numbers, minlength=count)
    means = [(drawn @ sums) / (drawn @ sizes) for drawn in drawn_counts(count, count, seed)]
    return of_draws(value, np.concatenate(means), count)


def median_difference(before: Array, after: Array, groups: Array | None = None, seed: int = 0) -> Interval:
    """median(after) − median(before) of scores of the same examples; paired bootstrap over examples or groups."""
    _paired(after, before)
    numbers, count = group_numbers(groups, len(before))
    draws = [
        np.median(np.repeat(after, row)) - np.median(np.repeat(before, row))
        for drawn in drawn_counts(count, len(before), seed, draws=1000)
        for row in drawn[:, numbers]
    ]
    return of_draws(float(np.median(after) - np.median(before)), np.asarray(draws), count)


def auroc_difference(before: Array, after: Array, labels: Array, groups: Array | None = None, seed: int = 0) -> Interval:
    """AUROC(after) − AUROC(before) for scores of the same examples with labels 0 and 1; paired bootstrap over examples or groups.

    Draws in which only one label occurs have no AUROC and are left out.
    """
    _paired(after, before)
    numbers, count = group_numbers(groups, len(labels))
    first, second = _Ranked(before, labels), _Ranked(after, labels)
    draws = [second.auroc(drawn[:, numbers]) - first.auroc(drawn[:, numbers]) for drawn in drawn_counts(count, len(labels), seed)]
    every = np.ones((1, len(labels)))
    return of_draws(float(second.auroc(every)[0] - first.auroc(every)[0]), np.concatenate(draws), count)


def auroc(scores: Array, labels: Array) -> float:
    """The chance that an example labelled 1 scores above one labelled 0, ties counting half; NaN when one of the labels is missing."""
    return float(_Ranked(scores, labels).auroc(np.ones((1, len(labels))))[0])


class _Ranked:
    """Scores in ascending order, to count the pairs that are ranked rightly under any weights of the examples."""

    def __init__(self, scores: Array, labels: Array) -> None:
        if len(scores) != len(labels):
            raise ValueError(f"{len(scores)} scores for {len(labels)} labels")
        self.order = np.argsort(scores, kind="stable")
        ascending = np.asarray(scores)[self.order]
        self.positive = np.asarray(labels)[self.order] > 0
        self.first = np.searchsorted(ascending, ascending, side="left")
        self.past = np.searchsorted(ascending, ascending, side="right")

    def auroc(self, weights: Array) -> Array:
        """One value for each row of `weights`, which are given in the order of the examples."""
        ranked = weights[:, self.order]
        negatives = np.zeros((len(ranked), ranked.shape[1] + 1))
        np.cumsum(ranked * ~self.positive, axis=1, out=negatives[:, 1:])
        below = (negatives[:, self.first[self.positive]] + negatives[:, self.past[self.positive]]) / 2
        won = (ranked[:, self.positive] * below).sum(axis=1)
        pairs = ranked[:, self.positive].sum(axis=1) * negatives[:, -1]
        values: Array = np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)
        return values


def _paired(after: Array, before: Array) -> Array:
    if len(after) != len(before) or len(after) == 0:
        raise ValueError(f"{len(before)} scores before and {len(after)} after: they are paired by example, so there must be as many")
    difference: Array = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    return difference


def _normal(residual: Array, numbers: Array, count: int, value: float) -> Interval:
    # the variance of a mean over groups of unequal size, linearized (Cochran 1977, "Sampling Techniques", section 6.3)
    sums = np.bincount(numbers, weights=residual, minlength=count)
    half = Z * float(np.sqrt((sums**2).sum() * count / (count - 1))) / len(residual)
    return Interval(value, value - half, value + half)
