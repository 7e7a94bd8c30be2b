"""An estimate with its 95 % interval, and how bootstrap draws become one."""

from dataclasses import dataclass, field
from math import inf, isfinite, nan, sqrt

import numpy as np

from optkit.arrays import Array

CONFIDENCE = 0.95
Z = 1.959963984540054
"""The normal quantile that leaves 2.5 % above it."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its 95 % confidence interval, in the unit of the estimate."""

    value: float
    low: float
    high: float
    error: float = field(default=nan, compare=False)
    """Its standard error; NaN where the interval rests on something else."""


def of_draws(value: float, draws: Array, n: int) -> Interval:
    """The percentile interval of bootstrap `draws`, widened for few units: `n` examples, groups or rounds were resampled.

    Plain percentiles are too narrow for small n: they use the normal instead of the t distribution and a variance that divides by n.
    Expanding the percentiles corrects both (Hesterberg 2015, "What Teachers Should Know About the Bootstrap",
    The American Statistician 69:371-386, section 4.2.3). One unit says nothing of how much units differ: the interval is unbounded.
    """
    from scipy.special import ndtr, stdtrit

    draws = draws[np.isfinite(draws)]
    if n < 2 or len(draws) == 0:
        return Interval(value, -inf, inf)
    outside = float(ndtr(-sqrt(n / (n - 1)) * stdtrit(n - 1, 0.5 + CONFIDENCE / 2)))
    low, high = np.quantile(draws, [outside, 1 - outside])
    # the estimate itself is never outside its interval, however skewed the draws are
    error = float(np.std(draws) * sqrt(n / (n - 1)))
    return Interval(value, min(float(low), value), max(float(high), value), error)


def chance_of(found: Interval, n: int) -> float:
    """The two-sided p-value of no difference, by Student's t with the interval's standard error over `n` units; NaN where it has none.

    Unlike a share of bootstrap draws it has no smallest value, so that it can be corrected for looking at many.
    """
    from scipy.special import stdtr

    if not isfinite(found.error) or n < 2:
        return nan
    if found.error == 0:
        return 1.0 if found.value == 0 else 0.0
    return float(2 * stdtr(n - 1, -abs(found.value) / found.error))


def ends_of_few(values: Array) -> tuple[float, float]:
    """The bounds of Student's 95 % interval for the typical one of a few times or ratios, on the scale of logarithms; none where one of
    them is 0 or infinite.
    """
    from scipy.special import stdtrit

    if not ((values > 0) & (values < inf)).all():
        return 0.0, inf
    logs = np.log(values)
    half = float(stdtrit(len(logs) - 1, 0.5 + CONFIDENCE / 2)) * logs.std(ddof=1) / sqrt(len(logs))
    return float(np.exp(logs.mean() - half)), float(np.exp(logs.mean() + half))
