"""One query after the other, each with the smallest batch asked for."""

from collections.abc import Callable, Sequence

import numpy as np

from optkit.arrays import Array
from optkit.progress import Progress
from optkit.scenarios import Candidate, Timed, Traffic
from optkit.scenarios._figures import figure_of
from optkit.stats.in_rounds import quantile_in_rounds
from optkit.stats.order import median_interval, runs_needed
from optkit.stats.ratio import allowing_for_luck
from optkit.timing.cpu_time import CpuTime
from optkit.timing.lanes import Here
from optkit.timing.rounds import time_rounds

SHARES = (0.5, 0.9, 0.95, 0.99, 0.999)


class SingleStream:
    """The next query is sent when the last is answered; the final result is latency percentiles, those that enough queries were sent for.

    All models are timed in turns. Intervals are taken over rounds, since queries of one round depend on each other (`stats.in_rounds`).
    """

    def run(
        self, models: Sequence[Candidate], traffic: Traffic, progress: Progress, interrupted: Callable[[], None] | None = None
    ) -> list[Timed]:
        batch = min(traffic.batches)
        lanes = [Here(model.opener(batch)) for model in models]
        cpu = CpuTime(lanes, progress)
        times = time_rounds(lanes, seconds=traffic.seconds * len(models), seed=traffic.seed, progress=cpu, interrupted=interrupted)
        return [
            _outcome(each, spent, batch, lane.openings, traffic.seed)
            for each, spent, lane in zip(times, cpu.per_query(times), lanes, strict=True)
        ]


def _outcome(rounds: Sequence[Array], cpu: Sequence[float], batch: int, openings: int, seed: int) -> Timed:
    values, figures = np.concatenate(rounds), []
    left_out = []
    for share in SHARES:
        found = quantile_in_rounds(rounds, share, seed)
        if found is None:
            left_out.append(f"p{share * 100:g} (needs {runs_needed(share):,} queries)")
        else:
            name = f"latency_p{share * 100:g}".replace(".", "")
            figures.append(figure_of(name, "s", allowing_for_luck(found, openings), len(values)))
    rates = np.array([batch / float(each.mean()) for each in rounds])
    rate, spent = (allowing_for_luck(median_interval(each), openings) for each in (rates, np.array(cpu) / batch))
    figures.append(figure_of("queries_per_second", "1/s", rate, len(values)))
    figures.append(figure_of("cpu_time", "s", spent, len(cpu)))
    notes = (f"{len(values):,} queries: too few for {', '.join(left_out)}",) if left_out else ()
    return Timed(tuple(figures), notes, {batch: rounds}, openings)
