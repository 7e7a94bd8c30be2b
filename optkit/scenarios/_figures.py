"""Estimates as figures."""

from math import isfinite

from optkit.scenarios import Figure
from optkit.stats.interval import Interval


def figure_of(name: str, unit: str, found: Interval, n: int) -> Figure:
    """Without bounds where there are none, as after one round."""
    known = isfinite(found.low) and isfinite(found.high)
    return Figure(name, unit, found.value, found.low if known else None, found.high if known else None, n)
