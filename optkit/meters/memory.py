"""How much main memory a model needs."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples


class Memory:
    """Peak bytes of a fresh process that opens the model and answers one batch, beyond what the runtime alone occupies."""

    needs: ClassVar[Literal["fresh"]] = "fresh"
    depends_on: ClassVar[Literal["batch"]] = "batch"

    def read(self, readings: Readings) -> Samples | None:
        values = tuple(float(run.memory) for run in readings.fresh)
        return Samples("memory", "bytes", "lower", values, "round", "median") if values else None
