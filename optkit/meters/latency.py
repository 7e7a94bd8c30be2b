"""How long one query takes."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples

KEPT = 12_000
"""Values kept of all rounds: ten lie beyond p999, and a report stays below a megabyte."""


class Latency:
    """Seconds from handing over a batch to having its answer, on the device; every query in order, `groups` being the rounds."""

    needs: ClassVar[Literal["rounds"]] = "rounds"
    depends_on: ClassVar[Literal["batch"]] = "batch"

    def read(self, readings: Readings) -> Samples | None:
        import numpy as np

        if not readings.rounds:
            return None
        most = max(1, KEPT // len(readings.rounds))
        # rounds with more queries than can be kept are thinned evenly in time, which leaves their quantiles where they were
        kept = [times if len(times) <= most else times[np.linspace(0, len(times) - 1, most).astype(np.int64)] for times in readings.rounds]
        values = tuple(float(value) for times in kept for value in times)
        rounds = tuple(number for number, times in enumerate(kept) for _ in times)
        return Samples("latency", "s", "lower", values, "round", "median", groups=rounds)
