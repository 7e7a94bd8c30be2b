"""What is read off a run. One file a meter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from optkit.samples import Samples

    Times = np.ndarray[tuple[int], np.dtype[Any]]


@dataclass(frozen=True)
class Fresh:
    """What a process that did nothing but open one model and answer one batch says of it."""

    load: float
    """Seconds to open the model, the runtime being loaded already."""
    first: float
    """Seconds to the first answer after that."""
    memory: int
    """Bytes of main memory at the peak of both, beyond what was in use before."""
    device_memory: int | None = None
    """Bytes that the model occupies on the device; None where the device has no memory of its own."""
    device_time: float | None = None
    """Seconds that the device works on one batch, by its own clock; None where it has none that is read."""


@dataclass(frozen=True)
class Readings:
    """The raw material of all meters, for one model on one device at one batch size."""

    batch: int
    size: int
    """Bytes on disk, external data included."""
    compressed: int | None = None
    """The same after gzip; None where nobody looked."""
    cpu: Sequence[float] = ()
    """CPU seconds of a query, all threads counted, one value per round."""
    rounds: Sequence["Times"] = ()
    """Seconds of every query, one array per round; round r of all models was measured in turns."""
    fresh: Sequence[Fresh] = ()
    """One for each fresh process; those of all models were run in turns."""


class Meter(Protocol):
    """Turns readings into samples of one metric."""

    needs: ClassVar[Literal["rounds", "fresh", "file"]]
    """What has to be run for it."""
    depends_on: ClassVar[Literal["batch", "device", "model"]]
    """What its value changes with: it is read once for each."""

    def read(self, readings: Readings) -> "Samples | None":
        """The samples, or None where there is nothing to read."""
        ...
