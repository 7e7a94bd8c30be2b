"""What calibration found out."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from optkit.quantization.affine import Grid
from optkit.quantization.calibration.means import ChannelMeans, Source
from optkit.quantization.channels.divide import Division
from optkit.quantization.integer_graph.insert_recurrent import RoundedGates
from optkit.quantization.rounding.learned_rounding import Rounded

Found = TypeVar("Found")


class LaterFound(Mapping[str, Found]):
    """What is looked for once it is asked for: it takes long, and may never be."""

    def __init__(self, find: Callable[[], Mapping[str, Found]]) -> None:
        self.find = find

    @cached_property
    def found(self) -> Mapping[str, Found]:
        return self.find()

    def __getitem__(self, name: str) -> Found:
        return self.found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)


@dataclass(frozen=True)
class Learned:
    """What calibration found out, by tensor name; empty without calibration examples."""

    grids: Mapping[str, Grid] = field(default_factory=dict)
    means: Mapping[Source, ChannelMeans] = field(default_factory=dict)
    smoothing: Mapping[str, Division] = field(default_factory=dict)
    """What becomes of outlier channels, for inputs of matrix products that gain by it."""
    remarks: tuple[str, ...] = ()
    """What the user should know of the examples."""
    of_ranges: tuple[str, ...] = ()
    """The same where ranges rest on them."""
    rounded: Mapping[str, Rounded] = field(default_factory=dict)
    """Weights whose rounding was learned, by name of the node; of dynamic products whose inputs are divided, the divided weights."""
    gates: Mapping[str, RoundedGates] = field(default_factory=dict)
    """The same of recurrent nodes."""
