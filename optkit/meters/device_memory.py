"""How much of a device's own memory a model needs."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples


class DeviceMemory:
    """Bytes that a fresh process occupies on the device for the model and one batch; nothing for devices that use main memory."""

    needs: ClassVar[Literal["fresh"]] = "fresh"
    depends_on: ClassVar[Literal["batch"]] = "batch"

    def read(self, readings: Readings) -> Samples | None:
        values = tuple(float(run.device_memory) for run in readings.fresh if run.device_memory is not None)
        return Samples("device_memory", "bytes", "lower", values, "round", "median") if values else None
