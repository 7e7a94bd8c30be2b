"""Time several calls against each other: in turns, in random order, so that whatever drifts hits all of them alike."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Progress = Callable[[str, int, int], None]
Clock = Literal["wall", "thread"]
CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "thread": time.thread_time}

SHORTEST_BLOCK = 2e-3
"""Seconds. Shorter blocks measure the change from one model to the next (caches, clock) more than the model."""
WARM_UP_SHARE = 0.1
"""Of the time given."""


def interleaved_times(
    calls: Sequence[Callable[[], None]],
    *,
    seconds: float,
    rounds: tuple[int, int] = (5, 200),
    seed: int = 0,
    clock: Clock = "wall",
    progress: Progress | None = None,
) -> list[Array]:
    """Seconds of every repetition, per call an array [rounds, k]; row r of all calls was measured in the same round.

    After a warm-up every round runs a block of k repetitions of each call, in an order drawn with `seed`. `k` differs between
    calls: a block lasts at least 2 ms and the rounds share `seconds` alike. At least `rounds[0]` rounds are run even when that
    takes longer than `seconds`, at most `rounds[1]`. `clock="thread"` counts only the time that the calling thread was computing,
    which is right for calls that run in it alone and keeps other load on the machine out of the result.
    """
    read = CLOCKS[clock]
    once = [_warm_up(call, seconds * WARM_UP_SHARE / len(calls)) for call in calls]
    block = max(SHORTEST_BLOCK, min(0.05, seconds / len(calls) / rounds[1]))
    repeats = [max(1, min(10_000, round(block / max(each, 1e-7)))) for each in once]
    order = np.random.default_rng(seed)
    times: list[list[Array]] = [[] for _ in calls]
    start = time.perf_counter()
    for number in range(rounds[1]):
        if number >= rounds[0] and time.perf_counter() - start >= seconds * (1 - WARM_UP_SHARE):
            break
        for i in order.permutation(len(calls)):
            times[i].append(timed_block(calls[i], repeats[i], read))
        if progress is not None:
            spent = min(1.0, (time.perf_counter() - start) / max(seconds * (1 - WARM_UP_SHARE), 1e-9))
            progress("timing", round(100 * spent), 100)
    return [np.stack(rows) for rows in times]


def _warm_up(call: Callable[[], None], seconds: float) -> float:
    """Run for a while, three times at least; the shortest wall time of one call."""
    best, done, start = float("inf"), 0, time.perf_counter()
    while done < 3 or (time.perf_counter() - start < seconds and done < 100):
        before = time.perf_counter()
        call()
        best, done = min(best, time.perf_counter() - before), done + 1
    return best


def timed_block(call: Callable[[], None], repeats: int, read: Callable[[], float]) -> Array:
    """Seconds of each of `repeats` calls in a row, as the clock `read` tells them."""
    marks = np.empty(repeats + 1)
    marks[0] = read()
    for k in range(repeats):
        call()
        marks[k + 1] = read()
    return np.diff(marks)
