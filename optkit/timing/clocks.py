"""What the time of a query is: all that passes, what its thread computes, or what passes while nobody else has its processor."""

import time
from collections.abc import Callable
from typing import Literal

import numpy as np

from optkit.arrays import Array

Clock = Literal["wall", "thread", "undisturbed"]
"""`thread` counts only the time that the calling thread was computing, `undisturbed` everything but what the operating system took away
from it and gave to others: both are right for models that run in that thread alone, whatever else goes on."""

LONG = 1e-4
"""Seconds of a query from which on reading another clock beside it costs nothing."""
TRIED = 3
"""Queries of which the shortest tells how long one takes: the first is often the slowest, and any may be interrupted."""


def timed_block(call: Callable[[], object], repeats: int, clock: Clock = "wall") -> Array:
    """Seconds of each of `repeats` calls in a row; `undisturbed` may leave out short calls that were interrupted."""
    if clock == "undisturbed":
        return _undisturbed(call, repeats)
    return _block(call, repeats, time.perf_counter if clock == "wall" else time.thread_time)


def _block(call: Callable[[], object], repeats: int, read: Callable[[], float]) -> Array:
    marks = np.empty(repeats + 1)
    marks[0] = read()
    for k in range(repeats):
        call()
        marks[k + 1] = read()
    return np.diff(marks)


def _undisturbed(call: Callable[[], object], repeats: int) -> Array:
    """Calls that were interrupted count what their thread computed; short ones, beside which that cannot be read, do not count.

    Only switches that the operating system forced are looked at: a model that waits by itself, for a disk or a lock, is as slow as that.
    """
    before = _forced_switches()
    first = np.array([_both(call) for _ in range(min(repeats, TRIED))])
    rest = repeats - len(first)
    if rest and first[:, 0].min() < LONG:
        times = np.concatenate([first[:, 0], _block(call, rest, time.perf_counter)])
        interruptions = min(_forced_switches() - before, repeats - 1)
        return times[np.sort(np.argsort(times)[: repeats - interruptions])]
    both = np.array([*first, *(_both(call) for _ in range(rest))])
    return np.where(both[:, 2] > 0, np.minimum(both[:, 0], both[:, 1]), both[:, 0])


def _both(call: Callable[[], object]) -> Array:
    """Seconds on the wall, seconds of the thread, and how often it was interrupted."""
    switches, cpu, wall = _forced_switches(), time.thread_time(), time.perf_counter()
    call()
    return np.array([time.perf_counter() - wall, time.thread_time() - cpu, _forced_switches() - switches])


def _forced_switches() -> int:
    """How often the operating system took the processor away from this thread so far; 0 where it does not tell (not Linux)."""
    try:
        import resource

        return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    except (ImportError, AttributeError):
        return 0
