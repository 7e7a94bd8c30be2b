"""Variants between which the first races leave open which is to be preferred are raced again, against each other and the original alone.

A race of many is short for each, so that chance would choose among those close in time, and another time choose otherwise.
"""

from collections.abc import Sequence

from optkit.quantization.choosing.decide import price_range, worth_taking
from optkit.quantization.variants.trial import Bench, Trial
from optkit.quantization.variants.wishes import Wishes

MOST = 3
"""Variants raced again."""


def raced_again(bench: Bench, trials: Sequence[Trial], wishes: Wishes) -> list[Trial]:
    """The same trials, those in question timed anew, for as long as all of them were before."""
    close = in_question(worth_taking(trials, bench, wishes), wishes)
    if len(close) < 2:
        return list(trials)
    timed = {t.path: t for t in bench.time(close, wishes.seconds)}
    return [timed.get(t.path, t) for t in trials]


def in_question(trials: Sequence[Trial], wishes: Wishes) -> list[Trial]:
    """The one whose price seems least, and those next to it that may be better as far as their times are known."""
    ranges = sorted((price_range(t, wishes), place) for place, t in enumerate(trials))
    first = ranges[0][0] if ranges else None
    return [trials[place] for each, place in ranges[:MOST] if first is not None and each.low < first.high]
