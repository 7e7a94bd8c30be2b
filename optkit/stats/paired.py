"""Differences between two models that answered the same examples: after minus before, with a 95 % interval."""

from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.stats.draws import drawn_counts, group_numbers
from optkit.stats.interval import Interval, Z, of_draws
from optkit.stats.summaries import Additive, Summary

MANY = 20_000
"""Independent units from which a bootstrap of a mean and the normal interval agree to three digits."""
AT_ONCE = 2_000_000
"""Numbers held at a time where each unit is left out in turn."""


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


def summary_difference(before: Summary, after: Summary, examples: int, groups: Array | None = None, seed: int = 0) -> Interval:
    """Summary after − summary before of the same `examples`; paired bootstrap over examples or groups, the summary computed for each draw.

    Draws that have no such number (no example of a class) are left out. Sums over many units are near enough to normal: from `MANY`
    on, the interval is that of the jackknife (Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 11).
    """
    numbers, count = group_numbers(groups, examples)
    every = np.ones((1, examples))
    value = float(after.under(every)[0] - before.under(every)[0])
    if isinstance(before, Additive) and isinstance(after, Additive):
        first, second = _by_unit(before, numbers, count), _by_unit(after, numbers, count)
        if count >= MANY:
            return _jackknife(before, after, first, second, value)
        counts = drawn_counts(count, before.width + after.width, seed, before.draws)
        draws = [after.of(np.asarray(drawn @ second)) - before.of(np.asarray(drawn @ first)) for drawn in counts]
    else:
        counts = drawn_counts(count, max(examples, before.width, after.width), seed, before.draws)
        draws = [after.under(drawn[:, numbers]) - before.under(drawn[:, numbers]) for drawn in counts]
    return of_draws(value, np.concatenate(draws), count)


def _by_unit(summary: Additive, numbers: Array, count: int) -> Any:
    """What each unit adds to the sums, [units, k]."""
    if count == len(numbers):
        return summary.moments[np.argsort(numbers)] if (np.diff(numbers) != 1).any() else summary.moments
    from scipy.sparse import csr_array

    belongs = csr_array((np.ones(len(numbers)), (numbers, np.arange(len(numbers)))), shape=(count, len(numbers)))
    return belongs @ summary.moments


def _jackknife(before: Additive, after: Additive, first: Any, second: Any, value: float) -> Interval:
    count, width = first.shape[0], max(before.width, after.width, 1)
    at_once = max(1, AT_ONCE // width)
    without = np.concatenate(
        [
            after.of(_left_out(second, slice(i, i + at_once))) - before.of(_left_out(first, slice(i, i + at_once)))
            for i in range(0, count, at_once)
        ]
    )
    error = float(np.sqrt(((without - without.mean()) ** 2).sum() * (count - 1) / count))
    return Interval(value, value - Z * error, value + Z * error, error)


def _left_out(moments: Any, rows: slice) -> Array:
    """The sums without each of these units in turn."""
    part = moments[rows]
    return np.asarray(moments.sum(axis=0)) - (part if isinstance(part, np.ndarray) else part.toarray())


def _paired(after: Array, before: Array) -> Array:
    if len(after) != len(before) or len(after) == 0:
        raise ValueError(f"{len(before)} scores before and {len(after)} after: they are paired by example, so there must be as many")
    difference: Array = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    return difference


def _normal(residual: Array, numbers: Array, count: int, value: float) -> Interval:
    # the variance of a mean over groups of unequal size, linearized (Cochran 1977, "Sampling Techniques", section 6.3)
    sums = np.bincount(numbers, weights=residual, minlength=count)
    error = float(np.sqrt((sums**2).sum() * count / (count - 1))) / len(residual)
    return Interval(value, value - Z * error, value + Z * error, error)
