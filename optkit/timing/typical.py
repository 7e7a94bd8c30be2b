"""Which of many inputs stand for all where there is time for few: a model may take longer for some than for others, and two models by
different factors, as where they loop over what an input holds or skip its padding.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt

import numpy as np

from optkit.arrays import Array
from optkit.timing.clocks import Clock, timed_block

Feed = Mapping[str, Array]

ALIKE = 1.25
"""Time of the slowest input over that of the fastest, up to which it is the machine's noise as likely as the model."""
EXAMINED = 48
"""Inputs whose times are looked at."""
PATIENCE = 0.5
"""Seconds of looking at them."""
FEWEST = 3
"""Inputs to look at however long they take."""
TRIES, MOST_TRIES = 3, 100
"""Calls of one input, of which the shortest counts."""
SHORT = 1e-3
"""Seconds that these take together, up to the most of them: of a single call of microseconds most is chance."""
LONG = 0.02
"""Seconds of a call from which on one says enough."""
RETAKES = 3
PAIRS = (4, 15)
"""Times, at least and at most, that the slowest and the fastest input are taken in turns to see whether they differ."""
CONFIRM = 0.75
"""Share of those in which they do. Simulated with 48 like inputs of which other programs make 30 or 60 % of the calls longer, by half on
average, 0 to 3 % of the looks find a mix; where every other input takes 1.6 times as long, 87 to 100 % do."""
DRAWS = 500
"""Samples of which the most typical is taken."""


@dataclass(frozen=True)
class Typical:
    """A few of many inputs."""

    feeds: tuple[Feed, ...]
    """Where times differ each stands for as many inputs as every other, and the first takes about as long as the mean of all."""
    alike: bool
    """Whether a model takes about as long for each of them."""


@dataclass(frozen=True)
class Wanted:
    """How many inputs are wanted."""

    alike: int
    """Where a model takes about as long for each."""
    least: int
    most: int
    seconds: float
    """Where it does not: between those, as many as it answers in that time, an odd number, so that one of them is the median."""

    def of(self, mean: float) -> int:
        """How many, of those that take `mean` seconds on average."""
        count = int(np.clip(self.seconds / max(mean, 1e-9), self.least, self.most))
        return count - 1 + count % 2


def typical(answer: Callable[[Feed], object], feeds: Sequence[Feed], wanted: Wanted, clock: Clock = "wall") -> Typical:
    """Evenly spaced ones of the inputs where the model takes about as long for each; else those that are most like all.

    `answer` is a model that is warmed up, so that no time is that of a first call.
    """
    spread = list(_spread(feeds, EXAMINED))
    if len(spread) < 2:
        return Typical(tuple(spread), alike=True)
    start, times = time.perf_counter(), {}
    for place in np.random.default_rng(0).permutation(len(spread)).tolist():  # in such an order that the first few are from all over
        times[place] = _seconds(partial(answer, spread[place]), clock)
        if time.perf_counter() - start > PATIENCE and len(times) >= FEWEST:
            break
    _retaken(times, lambda place: _seconds(partial(answer, spread[place]), clock), start + 2 * PATIENCE)
    if not _differ(times, lambda place: _seconds(partial(answer, spread[place]), clock), start + 3 * PATIENCE):
        return Typical(tuple(_spread(feeds, wanted.alike)), alike=True)
    count = wanted.of(sum(times.values()) / len(times))
    return Typical(tuple(spread[place] for place in like_all(times, count)), alike=False)


def _retaken(times: dict[int, float], take: Callable[[int], float], until: float) -> None:
    """Times that stand out are taken again, some often: what else the machine does makes a few of many long, and the same ones seldom."""
    for _ in range(RETAKES):
        for place in [place for place, seconds in times.items() if seconds > ALIKE * min(times.values())]:
            if time.perf_counter() > until:
                return
            times[place] = min(times[place], take(place))


def _differ(times: dict[int, float], take: Callable[[int], float], until: float) -> bool:
    """Whether the slowest input takes longer than the fastest one when both are taken again, in turns; if not, it counts as alike.

    A pair of calls that takes longer than all patience is taken at its word: what else the machine does averages out in it.
    """
    while True:
        slow, fast = max(times, key=times.__getitem__), min(times, key=times.__getitem__)
        if times[slow] <= ALIKE * times[fast]:
            return False
        pair = times[slow] + times[fast]
        if pair > PATIENCE:
            return True
        count = int(np.clip(PATIENCE / pair, *PAIRS))
        longer = 0
        for done in range(count):
            longer += take(slow) > sqrt(ALIKE) * take(fast)
            if done + 1 - longer > (1 - CONFIRM) * count:
                break
        if longer >= CONFIRM * count:
            return True
        if time.perf_counter() > until:
            return False
        times[slow] = times[fast]


def like_all(times: Mapping[int, float], count: int) -> list[int]:
    """Keys of `count` of the times, such that their mean and their mean square are as near as can be to those of all, and one is of each
    of as many strata: a model that takes a fixed time, one that takes as long as the first and one that takes its square then all take
    as much longer or shorter for them as for all. The one nearest to the mean comes first.
    """
    keys, seconds = list(times), np.array(list(times.values()))
    parts = np.array_split(np.argsort(seconds, kind="stable"), min(count, len(keys)))
    dice, relative = np.random.default_rng(0), seconds / seconds.mean()
    drawn = np.stack([dice.choice(part, DRAWS) for part in parts], axis=1)
    off = sum(abs((relative[drawn] ** power).mean(axis=1) / (relative**power).mean() - 1) / power for power in (1, 2))
    found = drawn[np.argmin(off)].tolist()
    return [keys[place] for place in sorted(found, key=lambda place: abs(relative[place] - 1))]


def _spread(feeds: Sequence[Feed], count: int) -> list[Feed]:
    return [feeds[int(place)] for place in np.linspace(0, len(feeds) - 1, min(count, len(feeds))).round()]


def _seconds(answer: Callable[[], object], clock: Clock) -> float:
    """The shortest of a few calls: whatever else goes on makes them longer."""
    once = float(timed_block(answer, 1, clock)[0])
    if once > LONG:
        return once
    more = int(np.clip(SHORT / max(once, 1e-9), TRIES, MOST_TRIES)) - 1
    return min(once, float(timed_block(answer, more, clock).min()))
