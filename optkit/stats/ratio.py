"""How many times as long one model takes as another, from times measured in turns."""

import numpy as np

from optkit.arrays import Array
from optkit.stats.interval import Interval, ends_of_few, of_draws
from optkit.stats.pooled import Pooled, Rounds

DRAWS = 1000
FEW = 9
"""Rounds. From here on the sign test's interval would leave the extremes out."""
FEWEST = 6
"""Rounds from which on the extremes are a 95 % interval."""
LUCK = 0.07
"""How much two openings of one file may differ in speed, for as long as they last: where their memory happens to lie decides it. Of 38
pairs of sessions of one 42 MB file, each timed for 5 s on a busy machine, half differed by over 1.4 % and one in twenty by over 6.7 %."""


def ratio_of_medians(before: Rounds, after: Rounds, seed: int = 0) -> Interval:
    """median(after) / median(before) at the machine's typical speed, with a 95 % interval; below 1, `after` takes less time.

    The medians are those that `at_typical_speed` leaves; the interval is that of `ratio_of_quantiles`.
    """
    return ratio_of_quantiles(*at_typical_speed(before, after), 0.5, seed)


def at_typical_speed(before: Rounds, after: Rounds) -> tuple[list[Array], list[Array]]:
    """The times with what slowed both models down in a round taken out: each round is scaled to the speed of the median round.

    The speed of a round is the geometric mean of the two models' medians in it, so the models' ratio in every round stays as it was.
    Without this, a machine that is busy in half of the rounds has two typical speeds, and the median of all rounds falls on one for
    the first model and on the other for the second. On a quiet machine next to nothing changes. Simulated with 30 rounds of which half
    take 1.6 times as long, intervals get 2.8 times narrower and still hold the truth in 97 % of the cases.
    """
    check_rounds(before, after)
    slowness = np.sqrt([np.median(x) * np.median(y) for x, y in zip(before, after, strict=True)])
    if not (slowness > 0).all():
        return [np.asarray(row) for row in before], [np.asarray(row) for row in after]
    scale = np.median(slowness) / slowness
    first, second = ([np.asarray(row) * factor for row, factor in zip(rounds, scale, strict=True)] for rounds in (before, after))
    return first, second


def allowing_for_luck(ratio: Interval, openings: int | None) -> Interval:
    """A ratio of times with the bounds that it has where models were opened once: rounds average out everything but that opening's luck.

    Where they were opened anew for every round (`openings` is not 1), or nothing is known of it, the interval holds it already.
    """
    return Interval(ratio.value, ratio.low * (1 - LUCK), ratio.high * (1 + LUCK)) if openings == 1 else ratio


def check_rounds(before: Rounds, after: Rounds) -> None:
    """Raises ValueError when there are none, or not as many of both."""
    if len(before) != len(after) or len(before) == 0:
        raise ValueError(f"{len(before)} rounds before and {len(after)} after: rounds pair the two, so there must be as many")


def ratio_of_quantiles(before: Rounds, after: Rounds, share: float, seed: int = 0) -> Interval:
    """quantile(after) / quantile(before) over all rounds, with a 95 % interval. The times are positive.

    Row r of both was measured in round r, and rounds may hold different numbers of repetitions. Repetitions within a round depend on
    each other and both models share what the machine did in it, so whole rounds are drawn with replacement, the same for both
    (a block bootstrap; Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 8.2.3).
    Fewer than `FEW` rounds hold too few values for that, so the interval then also spans the ratios of all single rounds, which the
    typical ratio lies between with a chance of 1 − 2^(1−n), whatever the distribution (the sign test's interval).
    Of fewer than `FEWEST`, as after Ctrl-C, that is below 95 %, so the interval then also spans Student's of the logarithms of those
    ratios. One round alone gives an interval without bounds. Raises ValueError when the numbers of rounds differ.
    """
    check_rounds(before, after)
    below, above = Pooled(before), Pooled(after)
    count = len(before)
    every = np.ones((1, count), dtype=np.int64)
    value = float(above.quantiles(share, every)[0] / below.quantiles(share, every)[0])
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    found = of_draws(value, above.quantiles(share, drawn) / below.quantiles(share, drawn), count)
    single = _single_rounds(below, above, share) if 1 < count < FEW else [value]
    return Interval(value, max(min(found.low, *single, value), 0.0), max(found.high, *single, value))


def _single_rounds(below: Pooled, above: Pooled, share: float) -> list[float]:
    each = np.eye(below.rounds, dtype=np.int64)
    ratios = above.quantiles(share, each) / below.quantiles(share, each)
    return [*ratios.tolist(), *(ends_of_few(ratios) if len(ratios) < FEWEST else ())]
