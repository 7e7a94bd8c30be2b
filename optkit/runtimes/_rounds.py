"""Queries of several models timed in turns, in rounds that each open the models anew."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optkit.runtimes._interleave import CLOCKS, SHORTEST_BLOCK, Clock, Progress, timed_block

Array = np.ndarray[Any, np.dtype[Any]]
Calls = Sequence[Callable[[], None]]
"""One model's queries, one for each feed."""
Opener = Callable[[], Calls]
"""Opens a model and binds its feeds; slow models may bind fewer than they were given."""

FEWEST_ROUNDS, MOST_ROUNDS = 6, 30
"""Of fewer than six rounds all favour one model by chance alone more than once in twenty times."""
WARM_UP = 3
"""Runs of each query that are not counted: the first ones allocate memory."""
SLOW = 0.2
"""Seconds of warming up that are enough."""
LONGEST_BLOCK = 0.02
LAPS = 10
"""Turns that each model should have in a round."""


def time_rounds(
    openers: Sequence[Opener], *, seconds: float, seed: int = 0, clock: Clock = "wall", progress: Progress | None = None
) -> list[list[Array]]:
    """Per model, per round: the seconds of every query, in order.

    Where a model's memory happens to lie changes its speed by some percent for as long as it is open (two sessions of one file differ),
    so a round opens all models anew, in random order, and rounds are what differs independently. Within a round blocks of at least
    2 ms alternate, in random order, all models answering the same feed before the next one. Models that take too long to open for
    that within `seconds` stay open; what is large lies everywhere, so chance matters less for them.
    """
    dice = np.random.default_rng(seed)
    opened = _open(openers, dice)
    pace = _pace(opened, seconds)
    times: list[list[Array]] = [[] for _ in openers]
    for number in range(pace.rounds):
        if number and pace.reopen:
            opened.calls.clear()  # the old sessions are closed before the new ones take their memory
            opened = _open(openers, dice)
        for i, values in enumerate(_round(opened.calls, pace, dice, CLOCKS[clock])):
            times[i].append(values)
        if progress is not None:
            progress("timing", number + 1, pace.rounds)
    return times


@dataclass(frozen=True)
class _Opened:
    calls: list[Calls]
    """Of every model."""
    once: list[float]
    """Seconds of one query, roughly."""
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
    """Queries in a block, for every model."""


def _open(openers: Sequence[Opener], dice: np.random.Generator) -> _Opened:
    start = time.perf_counter()
    calls: list[Calls] = [()] * len(openers)
    once = [0.0] * len(openers)
    for i in dice.permutation(len(openers)):
        calls[i] = openers[i]()
        once[i] = _warm_up(calls[i][0])
    return _Opened(calls, once, time.perf_counter() - start)


def _warm_up(call: Callable[[], None]) -> float:
    """Run a query until it runs as it will; its seconds."""
    times: list[float] = []
    while len(times) < WARM_UP and sum(times) < SLOW:
        times += timed_block(call, 1, time.perf_counter).tolist()
    return min(times)


def _pace(opened: _Opened, seconds: float) -> _Pace:
    reopen = opened.took * FEWEST_ROUNDS <= seconds
    # where opening is what costs, half of the time goes into it; otherwise every model runs once in each round at least
    cost = 2 * opened.took if reopen else sum(opened.once)
    rounds = int(np.clip(seconds / max(cost, 1e-9), FEWEST_ROUNDS, MOST_ROUNDS))
    per_round = max(0.0, seconds / rounds - (opened.took if reopen else 0.0))
    block = max(SHORTEST_BLOCK, min(LONGEST_BLOCK, per_round / len(opened.calls) / LAPS))
    return _Pace(rounds, reopen, per_round, [max(1, round(block / max(once, 1e-7))) for once in opened.once])


def _round(calls: Sequence[Calls], pace: _Pace, dice: np.random.Generator, read: Callable[[], float]) -> list[Array]:
    """Laps over all models, one feed after the other, until the round's time is over."""
    laps: list[list[Array]] = [[] for _ in calls]
    feeds, start, lap = dice.permutation(min(map(len, calls))), time.perf_counter(), 0
    while lap == 0 or time.perf_counter() - start < pace.per_round:
        feed = feeds[lap % len(feeds)]
        for i in dice.permutation(len(calls)):
            laps[i].append(timed_block(calls[i][feed], pace.repeats[i], read))
        lap += 1
    return [np.concatenate(blocks) for blocks in laps]
