"""How much computing one inference takes, on however many threads."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples


class CpuTime:
    """CPU seconds of an example, of all threads of the process, one value a round; threads that wait in a loop for work count too.

    On one thread it is the latency, less what the process waited; on several it says what the time saved is paid with.
    """

    needs: ClassVar[Literal["rounds"]] = "rounds"
    depends_on: ClassVar[Literal["batch"]] = "batch"

    def read(self, readings: Readings) -> Samples | None:
        values = tuple(spent / readings.batch for spent in readings.cpu)
        return Samples("cpu_time", "s", "lower", values, "round", "median") if values else None
