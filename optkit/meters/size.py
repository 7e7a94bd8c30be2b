"""How large a model is on disk."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples


class Size:
    """Bytes of the model file and its external data."""

    needs: ClassVar[Literal["file"]] = "file"
    depends_on: ClassVar[Literal["model"]] = "model"

    def read(self, readings: Readings) -> Samples | None:
        return Samples("size", "bytes", "lower", (float(readings.size),), "none", "median")
