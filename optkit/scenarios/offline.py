"""Everything is there at once: how many examples a second, and with which batch size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optkit.arrays import Array
from optkit.progress import Progress
from optkit.scenarios import Candidate, Figure, Timed, Traffic
from optkit.scenarios._figures import figure_of
from optkit.stats.interval import Interval
from optkit.stats.order import median_interval
from optkit.stats.ratio import allowing_for_luck
from optkit.timing.cpu_time import CpuTime
from optkit.timing.lanes import Here
from optkit.timing.rounds import time_rounds

WITHIN = 0.02
"""Batch sizes this close to the fastest are as good; of those the smallest is best, which answers sooner and needs less memory."""


class Offline:
    """Batches are run one after the other; the final result is the throughput at each batch size, and the best one.

    All models are timed in turns at each size. A round's throughput counts all of its time; the interval is that of the median round.
    """

    def run(
        self, models: Sequence[Candidate], traffic: Traffic, progress: Progress, interrupted: Callable[[], None] | None = None
    ) -> list[Timed]:
        found: list[dict[int, _Batch]] = [{} for _ in models]
        stopped: list[bool] = []
        stop = None if interrupted is None else lambda: stopped.append(True)
        for batch in traffic.batches:
            taking = [i for i, model in enumerate(models) if batch in model.batches]
            if not taking:
                continue
            lanes = [Here(models[i].opener(batch)) for i in taking]
            cpu = CpuTime(lanes, progress)
            seconds = traffic.seconds * len(taking)
            try:
                times = time_rounds(lanes, seconds=seconds, seed=traffic.seed, progress=cpu, interrupted=stop)
            except KeyboardInterrupt:  # before its first round
                if stop is None or not any(found):
                    raise
                stop()
                break
            for i, rounds, spent, lane in zip(taking, times, cpu.per_query(times), lanes, strict=True):
                rates = np.array([batch * len(each) / each.sum() for each in rounds])
                rate, used = (allowing_for_luck(median_interval(each), lane.openings) for each in (rates, np.array(spent) / batch))
                found[i][batch] = _Batch(rate, used, rounds, lane.openings)
            if stopped:
                break
        if stopped and interrupted is not None:
            interrupted()
        return [_outcome(each, () if stopped else traffic.batches) for each in found]


@dataclass(frozen=True)
class _Batch:
    """What one batch size came to."""

    rate: Interval
    """Examples a second."""
    cpu: Interval
    """CPU seconds of an example."""
    rounds: Sequence[Array]
    openings: int


def _outcome(found: dict[int, _Batch], wanted: Sequence[int]) -> Timed:
    figures = [figure_of(f"throughput_batch_{batch}", "1/s", each.rate, len(each.rounds)) for batch, each in found.items()]
    most = max((each.rate.value for each in found.values()), default=0.0)
    best = min((batch for batch, each in found.items() if each.rate.value >= most * (1 - WITHIN)), default=0)
    if len(found) > 1:
        figures.append(Figure("best_batch", "", best, None, None, len(found)))
    if best:
        at = found[best]
        n = len(at.rounds)
        figures += [figure_of("throughput", "1/s", at.rate, n), figure_of("cpu_time", "s", at.cpu, n)]
    missing = [str(batch) for batch in wanted if batch not in found]
    notes = (f"it does not take batches of {', '.join(missing)}",) if missing else ()
    openings = min((each.openings for each in found.values()), default=None)
    return Timed(tuple(figures), notes, {batch: each.rounds for batch, each in found.items()}, openings)
