"""How many values a quantile needs, and how well they know it."""

from math import ceil

import numpy as np

from optkit.arrays import Array
from optkit.stats.interval import Interval

BEYOND = 10
"""Values that lie beyond a quantile on average before it is worth showing."""


def runs_needed(share: float) -> int:
    """The fewest values from which the quantile `share` is shown: 100 for p90, 1000 for p99.

    Between order statistics, the 95 % interval of a quantile reaches z·√(n·share·(1−share)) ranks to either side (David & Nagaraja 2003,
    "Order Statistics", section 7.1). With 10 values beyond the quantile it ends about 6 ranks away, short of the largest value seen;
    with fewer than 4 it would be the maximum of the run or beyond it, which says something of the run and nothing of the model.
    """
    return ceil(BEYOND / (1 - share) - 1e-9)


def quantile_interval(values: Array, share: float) -> Interval | None:
    """The quantile `share` of independent values with the 95 % interval between order statistics; None where there are too few of them.

    The ranks are those of the binomial distribution (David & Nagaraja 2003, "Order Statistics", section 7.1), whatever the values'
    distribution.
    """
    n = len(values)
    if n < runs_needed(max(share, 1 - share)):
        return None
    ascending = np.sort(np.asarray(values, dtype=np.float64))
    low, high = binomial_quantile(0.025, n, share), binomial_quantile(0.975, n, share) + 1
    value = float(np.quantile(ascending, share, method="inverted_cdf"))
    return Interval(value, float(ascending[max(0, low - 1)]), float(ascending[min(n - 1, high - 1)]))


def median_interval(values: Array) -> Interval:
    """The median of independent values with the 95 % interval of the sign test; all of them where they are few."""
    ascending, n = np.sort(np.asarray(values, dtype=np.float64)), len(values)
    below = max(0, binomial_quantile(0.025, n, 0.5) - 1)
    return Interval(float(np.median(ascending)), float(ascending[below]), float(ascending[n - 1 - below]))


def binomial_quantile(chance: float, n: int, share: float) -> int:
    """The fewest of `n` that as many or fewer are with at least this chance, where each is one with a chance of `share`."""
    from scipy.special import bdtr, bdtrik  # scipy.stats has it too, and takes half a second to import

    found: int = ceil(bdtrik(chance, n, share))
    # the inverse is rounded: one less may do
    return found - 1 if found > 0 and bdtr(found - 1, n, share) >= chance else found
