"""How long a device itself computes for one inference."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples


class DeviceTime:
    """Seconds of a CUDA device for one inference, by events on the device, one value for each fresh process; nothing elsewhere.

    The latency is longer by what it takes to start the work and to hear that it is done.
    """

    needs: ClassVar[Literal["fresh"]] = "fresh"
    depends_on: ClassVar[Literal["batch"]] = "batch"

    def read(self, readings: Readings) -> Samples | None:
        values = tuple(run.device_time for run in readings.fresh if run.device_time is not None)
        return Samples("device_time", "s", "lower", values, "round", "median") if values else None
