"""How long opening a model takes."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples


class LoadTime:
    """Seconds to open the model in a fresh process in which the runtime is loaded already; the file is in the system's cache."""

    needs: ClassVar[Literal["fresh"]] = "fresh"
    depends_on: ClassVar[Literal["device"]] = "device"

    def read(self, readings: Readings) -> Samples | None:
        values = tuple(run.load for run in readings.fresh)
        return Samples("load_time", "s", "lower", values, "round", "median") if values else None
