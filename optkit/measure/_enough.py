"""When to stop timing: as soon as what was asked is known, instead of when the time is over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit  # here, ahead of timing: what is told after Ctrl-C needs it too

from optkit.stats.interval import CONFIDENCE, Interval
from optkit.stats.ratio import allowing_for_luck, ratio_of_medians

Rounds = Sequence[Sequence[np.ndarray[Any, np.dtype[Any]]]]

CHANCE = 0.001
"""Of a limit to be missed or kept by chance, for stopping before the time is over. Looking several times finds by chance what is not
there; with so small a chance at every look but the last that of all together stays as small as with one look (Haybittle 1971,
British Journal of Radiology 44:793; Peto et al. 1976, British Journal of Cancer 34:585)."""


@dataclass(frozen=True)
class Wish:
    """What is to be known of the ratio of times, after / before."""

    precision: float | None = None
    """Half the width of its interval, at most."""
    limit: float | None = None
    """Whether it lies below or above this."""

    def __bool__(self) -> bool:
        return self.precision is not None or self.limit is not None

    def fulfilled(self, ratio: Interval, rounds: int) -> bool:
        """Whether a ratio, measured in so many rounds, is known as well as wished."""
        precise = self.precision is None or (ratio.high - ratio.low) / 2 <= self.precision * ratio.value
        return precise and (self.limit is None or _decided(ratio, self.limit, rounds))


def enough(wish: Wish, seed: int, openings: Callable[[], int], *, mixed: bool = False) -> Callable[[Rounds], bool] | None:
    """Whether the rounds so far tell it of every model after the first; None where nothing is wished, so that all time is used.

    `openings` says how often the models were opened so far. Where some examples take longer than others (`mixed`) a round counts with
    its mean, as throughput does; otherwise with all its values.
    """
    if not wish:
        return None

    def is_enough(times: Rounds) -> bool:
        rounds = [[each.mean(keepdims=True) for each in row] for row in times] if mixed else times
        ratios = (allowing_for_luck(ratio_of_medians(rounds[0], each, seed), openings()) for each in rounds[1:])
        return all(wish.fulfilled(ratio, len(times[0])) for ratio in ratios)

    return is_enough


def _decided(ratio: Interval, limit: float, rounds: int) -> bool:
    wider = stdtrit(rounds - 1, 1 - CHANCE / 2) / stdtrit(rounds - 1, 0.5 + CONFIDENCE / 2)
    low = ratio.value - wider * (ratio.value - ratio.low)
    high = ratio.value + wider * (ratio.high - ratio.value)
    return bool(high < limit or low > limit)
