"""Shares of right answers: two models on the same examples, or one model alone. Exact enough for few examples, unlike a bootstrap."""

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING, Any

from optkit.stats.interval import Interval, Z

if TYPE_CHECKING:
    import numpy as np


def paired_share_difference(gained: int, lost: int, n: int) -> Interval:
    """Share right after minus share right before, on the same `n` examples, with a 95 % interval.

    `gained` examples are right only after, `lost` only before: all that McNemar's test looks at. The interval holds every difference
    that the score test does not reject (Tango 1998, "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design", Statistics in Medicine 17:891-908). It keeps its coverage for few examples and for no discordant pair.
    """
    if gained < 0 or lost < 0 or gained + lost > n or n < 1:
        raise ValueError(f"{gained} gained and {lost} lost of {n}")
    value = (gained - lost) / n
    low = _crossing(lambda delta: tango_score(gained, lost, n, delta) <= Z, -1.0, value)
    high = _crossing(lambda delta: tango_score(gained, lost, n, delta) < -Z, value, 1.0)
    return Interval(value, low, high)


FEW_DISCORDANT = 25
"""Discordant pairs below which the normal approximation of McNemar's test is not trusted (the usual rule; Agresti 2013,
"Categorical Data Analysis", section 11.1)."""


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p-value of McNemar's test that as many examples are gained as lost: exact (binomial) for few discordant pairs."""
    from scipy.special import bdtr, ndtr

    discordant = gained + lost
    if discordant == 0:
        return 1.0
    if discordant < FEW_DISCORDANT:
        return min(1.0, 2 * float(bdtr(min(gained, lost), discordant, 0.5)))
    return 2 * float(ndtr(-abs(gained - lost) / sqrt(discordant)))


def right_and_wrong(gained: int, lost: int, n: int) -> Interval:
    """As `paired_share_difference`, and for few discordant pairs no narrower than what the exact test does not reject.

    Given how many pairs are discordant, how many of them are gained is binomial: Clopper and Pearson's exact interval for that share
    gives one for the difference, which excludes 0 exactly when the exact McNemar test rejects at 5 %.
    """
    found = paired_share_difference(gained, lost, n)
    discordant = gained + lost
    if not 0 < discordant < FEW_DISCORDANT:
        return found
    low, high = (discordant * (2 * bound - 1) / n for bound in _clopper_pearson(gained, discordant))
    return Interval(found.value, min(found.low, low), max(found.high, high))


def _clopper_pearson(right: int, n: int) -> tuple[float, float]:
    from scipy.special import betaincinv

    low = 0.0 if right == 0 else float(betaincinv(right, n - right + 1, 0.025))
    return low, 1.0 if right == n else float(betaincinv(right + 1, n - right, 0.975))


def tango_score(gained: int, lost: int, n: int, delta: float) -> float:
    """Tango's score statistic for the hypothesis that the difference is `delta`; standard normal if it is, falling in `delta`."""
    a = 2 * n
    b = -gained - lost + (2 * n - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    # the share lost under the hypothesis, estimated by maximum likelihood
    share = (sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * (2 * share + delta * (1 - delta))
    distance = gained - lost - n * delta
    if variance <= 1e-12 * n:
        return 0.0 if abs(distance) < 1e-9 * n else float("inf") if distance > 0 else float("-inf")
    return float(distance / sqrt(variance))


def share(right: int, n: int) -> Interval:
    """Share of `n` examples with its 95 % score interval (Wilson 1927, JASA 22:209-212)."""
    if not 0 <= right <= n or n < 1:
        raise ValueError(f"{right} of {n}")
    found = _wilson(right / n, n)
    return Interval(found.value, 0.0 if right == 0 else found.low, 1.0 if right == n else found.high)


def _wilson(p: float, n: float) -> Interval:
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return Interval(p, middle - half, middle + half)


BLOCKS = 30
"""Enough to know the variance between them to a quarter, and each long enough for queues to have emptied."""


def share_in_sequence(flags: "np.ndarray[Any, np.dtype[np.bool_]]") -> Interval:
    """Share of flags that are set, where neighbours depend on each other, as queries do that wait in one queue; with a 95 % interval.

    It is Wilson's for as many independent flags as would make shares of blocks vary as they do (the design effect; Kish 1965, "Survey
    Sampling", section 8.2).
    """
    import numpy as np

    n, right = len(flags), int(flags.sum())
    p = right / n
    if n < 2 * BLOCKS or right in (0, n):
        return share(right, n)
    blocks = np.array([block.mean() for block in np.array_split(flags, BLOCKS)])
    effect = max(1.0, float(blocks.var(ddof=1)) * (n / BLOCKS) / (p * (1 - p)))
    return _wilson(p, n / effect)


def _crossing(beyond: Callable[[float], bool], low: float, high: float) -> float:
    """Where `beyond` turns from false to true between `low` and `high`; one of them where it does not turn."""
    if beyond(low):
        return low
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return (low + high) / 2
