"""How many values a quantile needs."""

from math import ceil

BEYOND = 10
"""Values that lie beyond a quantile on average before it is worth showing."""


def runs_needed(share: float) -> int:
    """The fewest values from which the quantile `share` is shown: 100 for p90, 1000 for p99.

    Between order statistics, the 95 % interval of a quantile reaches z·√(n·share·(1−share)) ranks to either side (David & Nagaraja 2003,
    "Order Statistics", section 7.1). With 10 values beyond the quantile it ends about 6 ranks away, short of the largest value seen;
    with fewer than 4 it would be the maximum of the run or beyond it, which says something of the run and nothing of the model.
    """
    return ceil(BEYOND / (1 - share) - 1e-9)
