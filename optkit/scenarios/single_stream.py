"""One query after the other, each with the smallest batch asked for."""

from collections.abc import Callable, Sequence

import numpy as np

from optkit.progress import Progress
from optkit.scenarios import Candidate, Figure, Outcome, Traffic
from optkit.stats.order import median_interval, quantile_interval, runs_needed
from optkit.timing.cpu_time import CpuTime
from optkit.timing.lanes import Here
from optkit.timing.rounds import time_rounds

SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


class SingleStream:
    """The next query is sent when the last is answered; the final result is latency percentiles, those that enough queries were sent for.

    All models are timed in turns. Intervals lie between order statistics.
    """

    def run(
        self, models: Sequence[Candidate], traffic: Traffic, progress: Progress, interrupted: Callable[[], None] | None = None
    ) -> list[Outcome]:
        batch = min(traffic.batches)
        lanes = [Here(model.opener(batch)) for model in models]
        cpu = CpuTime(lanes, progress)
        times = time_rounds(lanes, seconds=traffic.seconds * len(models), seed=traffic.seed, progress=cpu, interrupted=interrupted)
        return [_outcome(np.concatenate(each), spent, batch) for each, spent in zip(times, cpu.per_query(times), strict=True)]


def _outcome(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", cpu: Sequence[float], batch: int) -> Outcome:
    figures = []
    left_out = []
    for share in SHARES:
        name = f"latency_p{share * 100:g}".replace(".", "")
        found = quantile_interval(values, share)
        if found is None:
            left_out.append(f"p{share * 100:g} (needs {runs_needed(share):,} queries)")
        else:
            figures.append(Figure(name, "s", found.value, found.low, found.high, len(values)))
    mean = float(values.mean())
    figures.append(Figure("queries_per_second", "1/s", batch / mean, None, None, len(values)))
    spent = median_interval(np.array(cpu) / batch)
    figures.append(Figure("cpu_time", "s", spent.value, spent.low, spent.high, len(cpu)))
    return Outcome(tuple(figures), (f"{len(values):,} queries: too few for {', '.join(left_out)}",) if left_out else ())
