"""A signal that comes chunk by chunk, to a model that remembers: is it fast enough to keep up?"""

from collections.abc import Callable, Sequence

import numpy as np

from optkit.arrays import Array
from optkit.errors import UsageError
from optkit.progress import Progress
from optkit.scenarios import Candidate, Figure, Timed, Traffic
from optkit.scenarios._figures import figure_of
from optkit.stats.in_rounds import quantile_in_rounds
from optkit.stats.order import median_interval
from optkit.stats.ratio import allowing_for_luck
from optkit.timing.lanes import Here
from optkit.timing.rounds import time_rounds


class Streaming:
    """Chunk after chunk is answered with the state that the last one left; the final result is the real-time factor.

    That is the time to answer a chunk over the time that the chunk lasts: below 1 it keeps up. The models take turns, whole streams
    at a time. Intervals are taken over rounds.
    """

    def run(
        self, models: Sequence[Candidate], traffic: Traffic, progress: Progress, interrupted: Callable[[], None] | None = None
    ) -> list[Timed]:
        if traffic.chunk is None:
            raise UsageError("the scenario streaming needs to know how long a chunk lasts", hint="--chunk 32ms")
        lanes = [Here(model.opener(1)) for model in models]
        times = time_rounds(lanes, seconds=traffic.seconds * len(models), seed=traffic.seed, progress=progress)
        return [_outcome(each, traffic.chunk, lane.openings, traffic.seed) for each, lane in zip(times, lanes, strict=True)]


def _outcome(rounds: Sequence[Array], chunk: float, openings: int, seed: int) -> Timed:
    factor = allowing_for_luck(median_interval(np.array([float(each.mean()) for each in rounds]) / chunk), openings)
    values = np.concatenate(rounds)
    figures = [figure_of("real_time_factor", "", factor, len(rounds))]
    for share in (0.5, 0.99):
        if (found := quantile_in_rounds(rounds, share, seed)) is not None:
            figures.append(figure_of(f"latency_p{share * 100:g}", "s", allowing_for_luck(found, openings), len(values)))
    late = float((values > chunk).mean())
    figures.append(Figure("late", "ratio", late, None, None, len(values)))
    notes = ("it does not keep up with the signal",) if factor.value > 1 else ()
    return Timed(tuple(figures), notes, {1: rounds}, openings)
