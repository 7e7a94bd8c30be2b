"""Queries of several models timed in turns, in rounds that each open the models anew."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optkit.arrays import Array
from optkit.progress import Progress
from optkit.timing.lanes import Lane

Rounds = list[list[Array]]
"""Per model, per round: the seconds of every query, in order."""

FEWEST_ROUNDS, MOST_ROUNDS = 6, 30
"""Of fewer than six rounds all favour one model by chance alone more than once in twenty times."""
LOOKS = (6, 9, 13, 18, 24)
"""After so many rounds it is asked whether they are enough: often enough to save time, too seldom to find by chance what is not there."""
SHORTEST_BLOCK = 2e-3
"""Seconds. Shorter blocks measure the change from one model to the next (caches, clock) more than the model."""
LONGEST_BLOCK = 0.02
LAPS = 10
"""Turns that each model should have in a round."""


def time_rounds(
    lanes: Sequence[Lane],
    *,
    seconds: float,
    seed: int = 0,
    whole_laps: bool = False,
    enough: Callable[[Rounds], bool] | None = None,
    progress: Progress | None = None,
    interrupted: Callable[[], None] | None = None,
) -> Rounds:
    """Per model, per round: the seconds of every query, in order.

    Where a model's memory happens to lie changes its speed by some percent for as long as it is open (two sessions of one file differ),
    so a round opens all models anew, in random order, and rounds are what differs independently. Within a round blocks of at least
    2 ms alternate, in random order, all models answering the same feed before the next one. Models that take too long to open for
    that within `seconds` stay open; what is large lies everywhere, so chance matters less for them. With `whole_laps` every round holds
    each feed equally often, as it must where some take longer than others. `enough` may end it before. So may Ctrl-C where somebody wants
    to hear of it by `interrupted`: the rounds done by then are returned, if there are any.
    """
    dice, done = np.random.default_rng(seed), 0
    times: Rounds = [[] for _ in lanes]
    try:
        opened = _open(lanes, dice)
        pace = _pace(opened, seconds)
        for number in range(pace.rounds):
            if number and pace.reopen:
                for lane in lanes:  # all are closed before the first takes new memory
                    lane.close()
                _open(lanes, dice)
            for i, values in enumerate(_round(lanes, pace, dice, whole_laps)):
                times[i].append(values)
            if progress is not None:
                progress("timing", number + 1, pace.rounds)
            done = number + 1
            if enough is not None and number + 1 in LOOKS and number + 1 < pace.rounds and enough(times):
                break
        return times
    except KeyboardInterrupt:
        if interrupted is None or not done:
            raise
        interrupted()
        return [rounds[:done] for rounds in times]
    finally:
        for lane in lanes:
            lane.end()


@dataclass(frozen=True)
class _Opened:
    once: list[float]
    """Seconds of one query, roughly, for every model."""
    took: float
    """Seconds to open all."""


@dataclass(frozen=True)
class _Pace:
    """How the time given is divided."""

    rounds: int
    reopen: bool
    per_round: float
    """Seconds of timing."""
    repeats: list[int]
    """Queries in a block, for every model.

    As many for all, unless one is some ten times as fast as another: the first after another model's takes longer (caches), and where
    every second query of one model is such a one, and every third of the other's, their medians differ though the models do not.
    """


def _open(lanes: Sequence[Lane], dice: np.random.Generator) -> _Opened:
    start = time.perf_counter()
    once = [0.0] * len(lanes)
    for i in dice.permutation(len(lanes)):
        once[i] = lanes[i].open()
    return _Opened(once, time.perf_counter() - start)


def _pace(opened: _Opened, seconds: float) -> _Pace:
    reopen = opened.took * FEWEST_ROUNDS <= seconds
    # where opening is what costs, half of the time goes into it; otherwise every model runs once in each round at least
    cost = 2 * opened.took if reopen else sum(opened.once)
    rounds = int(np.clip(seconds / max(cost, 1e-9), FEWEST_ROUNDS, MOST_ROUNDS))
    per_round = max(0.0, seconds / rounds - (opened.took if reopen else 0.0))
    block = max(SHORTEST_BLOCK, min(LONGEST_BLOCK, per_round / len(opened.once) / LAPS))
    once = np.maximum(opened.once, 1e-7)
    least = np.ceil(SHORTEST_BLOCK / once)
    alike = max(1, round(block / once.max()), min(least.max(), LONGEST_BLOCK // once.max()))
    return _Pace(rounds, reopen, per_round, [int(max(alike, each)) for each in least])


def _round(lanes: Sequence[Lane], pace: _Pace, dice: np.random.Generator, whole: bool) -> list[Array]:
    """Laps over all models, one feed after the other, until the round's time is over, and where `whole` all feeds had as many."""
    laps: list[list[Array]] = [[] for _ in lanes]
    feeds, start, lap = dice.permutation(min(lane.feeds for lane in lanes)), time.perf_counter(), 0
    while lap == 0 or time.perf_counter() - start < pace.per_round or (whole and lap % len(feeds)):
        feed = int(feeds[lap % len(feeds)])
        for i in dice.permutation(len(lanes)):
            laps[i].append(lanes[i].block(feed, pace.repeats[i]))
        lap += 1
    return [np.concatenate(blocks) for blocks in laps]
