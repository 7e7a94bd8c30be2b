"""Times of many files of one model in one interleaved measurement."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import thread_time

import numpy as np

from optkit.arrays import Array
from optkit.runtimes import open_session
from optkit.stats.interval import Interval
from optkit.stats.ratio import ratio_of_medians
from optkit.timing.lanes import Here
from optkit.timing.rounds import time_rounds

Feeds = Sequence[Mapping[str, Array]]

HOPELESS = 3.0
"""Times float32's: not raced, so that it does not take the time of all others."""
TRIED = 5


@dataclass(frozen=True)
class Timed:
    """Seconds of every query, by round; or, for what is hopelessly slow, only about how many times float32's."""

    rounds: list[Array] | None
    about: float

    def over(self, other: "Timed") -> Interval:
        """Its time over another's, paired by round."""
        if self.rounds is None or other.rounds is None:
            return Interval(self.about / other.about, 0.0, inf)
        return ratio_of_medians(other.rounds, self.rounds)


def timed(models: Sequence[Path], feeds: Feeds, seconds: float) -> list[Timed]:
    """Each model's times on one thread, the first being float32: all in turns on the same feeds, counting what the thread computes."""

    def opener(path: Path) -> Callable[[], list[Callable[[], None]]]:
        def open_and_bind() -> list[Callable[[], None]]:
            session = open_session(path)
            return [session.bind(feed) for feed in feeds]

        return open_and_bind

    quick = [_once(opener(path)()) for path in models]
    about = [each / quick[0] for each in quick]
    racing = [i for i, ratio in enumerate(about) if ratio <= HOPELESS]
    times = time_rounds([Here(opener(models[i]), "thread") for i in racing], seconds=seconds)
    rounds = dict(zip(racing, times, strict=True))
    return [Timed(rounds.get(i), ratio) for i, ratio in enumerate(about)]


def _once(calls: Sequence[Callable[[], None]]) -> float:
    calls[0]()
    took = []
    for i in range(TRIED):
        start = thread_time()
        calls[i % len(calls)]()
        took.append(thread_time() - start)
    return float(np.median(took))
