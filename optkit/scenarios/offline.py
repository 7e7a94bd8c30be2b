"""Everything is there at once: how many examples a second, and with which batch size."""

from collections.abc import Sequence

import numpy as np

from optkit.runtimes._lanes import Here
from optkit.runtimes._rounds import time_rounds
from optkit.scenarios import Candidate, Figure, Outcome, Progress, Traffic
from optkit.stats.interval import Interval
from optkit.stats.order import median_interval

WITHIN = 0.02
"""Batch sizes this close to the fastest are as good; of those the smallest is best, which answers sooner and needs less memory."""


class Offline:
    """Batches are run one after the other; the final result is the throughput at each batch size, and the best one.

    All models are timed in turns at each size. A round's throughput counts all of its time; the interval is that of the median round.
    """

    def run(self, models: Sequence[Candidate], traffic: Traffic, progress: Progress) -> list[Outcome]:
        found: list[dict[int, tuple[Interval, int]]] = [{} for _ in models]
        for batch in traffic.batches:
            taking = [i for i, model in enumerate(models) if batch in model.batches]
            if not taking:
                continue
            lanes = [Here(models[i].opener(batch)) for i in taking]
            times = time_rounds(lanes, seconds=traffic.seconds * len(taking), seed=traffic.seed, progress=progress)
            for i, rounds in zip(taking, times, strict=True):
                rates = np.array([batch * len(each) / each.sum() for each in rounds])
                found[i][batch] = median_interval(rates), len(rates)
        return [_outcome(each, traffic.batches) for each in found]


def _outcome(found: dict[int, tuple[Interval, int]], wanted: Sequence[int]) -> Outcome:
    figures = [Figure(f"throughput_batch_{batch}", "1/s", rate.value, rate.low, rate.high, n) for batch, (rate, n) in found.items()]
    most = max((rate.value for rate, _ in found.values()), default=0.0)
    best = min((batch for batch, (rate, _) in found.items() if rate.value >= most * (1 - WITHIN)), default=0)
    if len(found) > 1:
        figures.append(Figure("best_batch", "", best, None, None, len(found)))
    if best:
        rate, n = found[best]
        figures.append(Figure("throughput", "1/s", rate.value, rate.low, rate.high, n))
    missing = [str(batch) for batch in wanted if batch not in found]
    return Outcome(tuple(figures), (f"it does not take batches of {', '.join(missing)}",) if missing else ())
