"""Which variant is faster: all of them in turns, on the same inputs, in one measurement."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from optkit.runtimes import open_session
from optkit.runtimes._clocks import Clock
from optkit.runtimes._lanes import Here, opener
from optkit.runtimes._rounds import time_rounds
from optkit.stats.interval import Interval
from optkit.stats.ratio import ratio_of_medians

Feed = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


def race(models: Sequence[Path], feeds: Sequence[Feed], *, seconds: float, threads: int, device: str, seed: int) -> list[Interval]:
    """Time of each model as a ratio of the first one's, with 95 % intervals; below 1 is faster.

    On one CPU thread only the time that it computes is counted, so that other load on the machine does not decide.
    """

    clock: Clock = "thread" if threads == 1 and device == "cpu" else "wall"
    times = time_rounds([Here(opener(partial(open_session, m, device, threads), feeds), clock) for m in models], seconds=seconds, seed=seed)
    return [ratio_of_medians(times[0], each, seed) for each in times]
