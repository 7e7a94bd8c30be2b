"""How many examples are answered in a second."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples


class Throughput:
    """Examples per second with one batch after the other, one value per round: the mean of all queries, slow ones included."""

    needs: ClassVar[Literal["rounds"]] = "rounds"
    depends_on: ClassVar[Literal["batch"]] = "batch"

    def read(self, readings: Readings) -> Samples | None:
        values = tuple(readings.batch * len(times) / float(times.sum()) for times in readings.rounds)
        return Samples("throughput", "1/s", "higher", values, "round", "median") if values else None
