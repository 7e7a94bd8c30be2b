"""CPU seconds of models that are timed in turns: what all threads of their process computed, beside what a clock on the wall shows."""

from collections.abc import Sequence

import numpy as np

from optkit.arrays import Array
from optkit.progress import Progress
from optkit.timing.lanes import Lane


class CpuTime:
    """Stands in the place of the progress of `time_rounds`, which is told of after every round, and reads each lane's CPU seconds then."""

    def __init__(self, lanes: Sequence[Lane], progress: Progress) -> None:
        self.lanes = lanes
        self.progress = progress
        self.read: list[list[float]] = [[] for _ in lanes]

    def __call__(self, what: str, done: int, total: int) -> None:
        for lane, read in zip(self.lanes, self.read, strict=True):
            read.append(lane.cpu)
        self.progress(what, done, total)

    def per_query(self, rounds: Sequence[Sequence[Array]]) -> list[list[float]]:
        """For each model the CPU seconds of a query, one value a round."""
        spent = [np.diff(read, prepend=0.0) for read in self.read]
        pairs = [list(zip(each[: len(times)], times, strict=True)) for each, times in zip(spent, rounds, strict=True)]
        return [[float(seconds) / len(queries) for seconds, queries in each] for each in pairs]
