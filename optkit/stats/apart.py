"""Times that were not measured in turns: what can still be said of their ratio."""

from math import exp, inf, isfinite, log, sqrt

import numpy as np

from optkit.stats.interval import Interval
from optkit.stats.pooled import Rounds
from optkit.stats.ratio import ratio_of_quantiles

BETWEEN_RUNS = 0.05
"""How far apart the same file may be when it is timed twice on one machine, in two runs: clocks, caches and neighbours differ."""


def ratio_of_intervals(over: Interval, under: Interval) -> Interval:
    """over / under for two independent positive estimates, their intervals combined on the scale of logarithms.

    Each bound lies as far away as the two relevant bounds are together, squares being added (Zou & Donner 2008, "Construction of
    Confidence Limits about Effect Measures: a General Approach", Statistics in Medicine 27:1693-1702).
    """
    value = over.value / under.value
    low = _apart(over.value, over.low) ** 2 + _apart(under.high, under.value) ** 2
    high = _apart(over.high, over.value) ** 2 + _apart(under.value, under.low) ** 2
    return Interval(value, _shrunk(value, low), value * exp(sqrt(high)) if isfinite(high) else inf)


def ratio_of_runs(before: Rounds, after: Rounds, share: float, seed: int = 0) -> Interval:
    """quantile(after) / quantile(before), each measured in a run of its own; with room for how much runs differ (`BETWEEN_RUNS`)."""
    quantiles = [ratio_of_quantiles(np.ones((len(rounds), 1)), rounds, share, seed) for rounds in (after, before)]
    room = Interval(1.0, 1 / (1 + BETWEEN_RUNS), 1 + BETWEEN_RUNS)
    return ratio_of_intervals(ratio_of_intervals(*quantiles), room)


def _apart(larger: float, smaller: float) -> float:
    return log(larger / smaller) if smaller > 0 and isfinite(larger) else inf


def _shrunk(value: float, squares: float) -> float:
    return value * exp(-sqrt(squares)) if isfinite(squares) else 0.0
