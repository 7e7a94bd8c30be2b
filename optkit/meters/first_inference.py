"""How long the first answer takes."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples


class FirstInference:
    """Seconds to the first answer after opening, in a fresh process: what a cold start adds to loading."""

    needs: ClassVar[Literal["fresh"]] = "fresh"
    depends_on: ClassVar[Literal["device"]] = "device"

    def read(self, readings: Readings) -> Samples | None:
        values = tuple(run.first for run in readings.fresh)
        return Samples("first_inference", "s", "lower", values, "round", "median") if values else None
