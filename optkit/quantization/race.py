"""Which variant is faster: all of them in turns, on the same inputs, in one measurement."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import numpy as np

from optkit.runtimes import Session, open_session
from optkit.runtimes._interleave import interleaved_times
from optkit.stats.interval import Interval
from optkit.stats.ratio import ratio_of_medians

Array = np.ndarray[Any, np.dtype[Any]]
Feed = Mapping[str, Array]


def race(sessions: Sequence[Session], feeds: Sequence[Feed], *, seconds: float, threads: int, device: str, seed: int) -> list[Interval]:
    """Time of each session as a ratio of the first one's, with 95 % intervals; below 1 is faster.

    On one CPU thread only the time that it computes is counted, so that other load on the machine does not decide.
    """
    calls = [_in_turn([session.bind(feed) for feed in feeds]) for session in sessions]
    clock: Literal["thread", "wall"] = "thread" if threads == 1 and device == "cpu" else "wall"
    times = interleaved_times(calls, seconds=seconds, rounds=(7, 300), seed=seed, clock=clock)
    return [ratio_of_medians(times[0], each, seed) for each in times]


def open_all(models: Sequence[Path | bytes], device: str, threads: int) -> list[Session]:
    return [open_session(model, device, threads) for model in models]


def _in_turn(calls: Sequence[Callable[[], None]]) -> Callable[[], None]:
    turns = cycle(calls)
    return lambda: next(turns)()
