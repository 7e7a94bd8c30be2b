"""How large a model is when it is sent or stored compressed."""

from typing import ClassVar, Literal

from optkit.meters import Readings
from optkit.samples import Samples


class CompressedSize:
    """Bytes of the model file and its external data after gzip at its fastest level; nothing for models that are too large to try."""

    needs: ClassVar[Literal["file"]] = "file"
    depends_on: ClassVar[Literal["model"]] = "model"

    def read(self, readings: Readings) -> Samples | None:
        if readings.compressed is None:
            return None
        return Samples("compressed_size", "bytes", "lower", (float(readings.compressed),), "none", "median")
