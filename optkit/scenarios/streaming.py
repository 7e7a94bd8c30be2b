"""A signal that comes chunk by chunk, to a model that remembers: is it fast enough to keep up?"""

from collections.abc import Callable, Sequence

import numpy as np

from optkit.errors import UsageError
from optkit.progress import Progress
from optkit.scenarios import Candidate, Figure, Outcome, Traffic
from optkit.stats.order import median_interval, quantile_interval
from optkit.timing.lanes import Here
from optkit.timing.rounds import time_rounds


class Streaming:
    """Chunk after chunk is answered with the state that the last one left; the final result is the real-time factor.

    That is the time to answer a chunk over the time that the chunk lasts: below 1 it keeps up. The models take turns, whole streams
    at a time.
    """

    def run(
        self, models: Sequence[Candidate], traffic: Traffic, progress: Progress, interrupted: Callable[[], None] | None = None
    ) -> list[Outcome]:
        if traffic.chunk is None:
            raise UsageError("the scenario streaming needs to know how long a chunk lasts", hint="--chunk 32ms")
        lanes = [Here(model.opener(1)) for model in models]
        times = time_rounds(lanes, seconds=traffic.seconds * len(models), seed=traffic.seed, progress=progress)
        return [_outcome(each, traffic.chunk) for each in times]


def _outcome(rounds: Sequence["np.ndarray[tuple[int], np.dtype[np.float64]]"], chunk: float) -> Outcome:
    factor = median_interval(np.array([float(each.mean()) for each in rounds]) / chunk)
    values = np.concatenate(rounds)
    figures = [Figure("real_time_factor", "", factor.value, factor.low, factor.high, len(rounds))]
    for share in (0.5, 0.99):
        if (found := quantile_interval(values, share)) is not None:
            figures.append(Figure(f"latency_p{share * 100:g}", "s", found.value, found.low, found.high, len(values)))
    late = float((values > chunk).mean())
    figures.append(Figure("late", "ratio", late, None, None, len(values)))
    return Outcome(tuple(figures), ("it does not keep up with the signal",) if factor.value > 1 else ())
