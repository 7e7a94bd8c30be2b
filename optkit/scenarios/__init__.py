"""When queries are sent, in MLPerf's terms. One file a scenario."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from optkit.progress import Progress

if TYPE_CHECKING:
    from optkit.arrays import Array
    from optkit.timing.lanes import Opener


@dataclass(frozen=True)
class Figure:
    """One number that a model came to, with its 95 % interval; without bounds where it is exact or was only tried.

    The bounds of `queries_per_second` in `server` are rates that were tried: the highest that held and the lowest that did not.
    """

    name: str
    """`latency_p99`, `throughput_batch_8`, `best_batch`, `queries_per_second`, `real_time_factor`, `cost_per_million`, …"""
    unit: str
    """As in Samples; `$` for costs."""
    value: float
    low: float | None
    high: float | None
    n: int
    """Values it rests on: queries or rounds."""


@dataclass(frozen=True)
class Outcome:
    """What one model came to in one scenario."""

    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know: such as percentiles that too few queries were sent for."""


@dataclass(frozen=True)
class Timed(Outcome):
    """An outcome with the times that it was read off."""

    rounds: "Mapping[int, Sequence[Array]]" = field(default_factory=dict)
    """Batch size → by round, the seconds of every query."""
    openings: int | None = None
    """How often the model was opened for them, at the batch size where that was the least."""


@dataclass(frozen=True)
class Candidate:
    """A model that queries can be sent to."""

    name: str
    opener: "Callable[[int], Opener]"
    """Opens it with feeds of so many examples each."""
    batches: tuple[int, ...]
    """Batch sizes that it takes, of those asked for."""


@dataclass(frozen=True)
class Traffic:
    """How to send queries."""

    seconds: float = 10.0
    """For each model and batch size, roughly."""
    batches: tuple[int, ...] = (1,)
    slo: float | None = None
    """Seconds within which 99 of 100 queries must be answered (`server`)."""
    max_delay: float = 0.0
    """Seconds that a query may wait for others to share its batch (`server`)."""
    chunk: float | None = None
    """Seconds of signal in one chunk (`streaming`)."""
    states: Mapping[str, str] = field(default_factory=dict)
    """Output that holds a state → input that takes it with the next chunk (`streaming`)."""
    seed: int = 0


class Scenario(Protocol):
    """Sends queries to models and says what they came to."""

    def run(
        self, models: Sequence[Candidate], traffic: Traffic, progress: Progress, interrupted: Callable[[], None] | None = None
    ) -> Sequence[Outcome]:
        """One outcome for each model. Raises UsageError where something is not said that it needs.

        Where somebody wants to hear of Ctrl-C by `interrupted`, what was measured by then is returned, if it says something by itself.
        """
        ...
