"""Run models side by side on each device: interleaved, on the same examples, raw values kept.

The only place where runtimes, examples, metrics and meters meet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from optkit.artifact import Artifact
from optkit.progress import Progress, silent
from optkit.samples import Samples

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.metrics import Metric


@dataclass(frozen=True)
class Machine:
    """Where a measurement was made: speeds are comparable only on equal machines."""

    system: str
    processor: str
    cores: int
    """Physical cores that this process may use."""
    features: tuple[str, ...]
    """Instruction sets that decide INT8 speed: avx2, avx512_vnni, avx_vnni, amx_int8, neon_dotprod, …"""
    versions: Mapping[str, str]
    """python, optkit, onnxruntime, numpy, …; where there is an NVIDIA driver, cuda: the newest that it runs."""
    gpus: tuple[str, ...] = ()
    """NVIDIA's, as their driver calls them."""


@dataclass(frozen=True)
class Conditions:
    """What else went on while the models of one device and batch size were timed. Shares are of the machine's whole computing time."""

    rounds: int
    """0 where nothing was timed in rounds, as queries of a server, or Ctrl-C came before the first."""
    seconds: float
    others: float
    """Share that other programs computed."""
    stolen: float
    """Share that the host of a virtual machine took."""
    slowest_clock: float | None
    """The processors' slowest clock relative to the fastest; None where the system does not tell."""
    openings: int | None = None
    """How often each model was opened: once for every round, or once for all where opening takes too long. None in older reports, and
    where nothing was timed in rounds."""
    interrupted: bool = False
    """Ctrl-C ended it: what was not reached is not there."""
    unscored: int = 0
    """Examples that it ended before: scores are those of the first ones."""
    settled: bool = False
    """Timing ended before its time was over: what was wished to be known was known."""
    mixed: bool = False
    """The first model takes longer for some examples than for others, so that a mix of them was timed which is as theirs."""


NOTHING_TIMED = Conditions(rounds=0, seconds=0.0, others=0.0, stolen=0.0, slowest_clock=None)


@dataclass(frozen=True)
class Measurement:
    """Everything read off one model on one device at one batch size, with so many threads.

    What does not depend on the batch size and the number of threads (answers, load time) is in the first measurement of a device, what
    does not depend on the device (file size) in the first of all.
    """

    model: Artifact
    name: str
    """What tables call it: the shortest part of the path that tells the models apart."""
    device: str
    batch: int
    threads: int
    machine: Machine
    samples: tuple[Samples, ...]
    nodes: Mapping[str, int]
    """Nodes per execution provider; those that fell back to another provider show here."""
    conditions: Conditions | None = None
    """None where nothing was to be timed."""


@dataclass(frozen=True)
class Settings:
    """What is measured, on which devices, for how long."""

    devices: tuple[str, ...] = ("cpu",)
    batches: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1,)
    """Answers are those with the first number; 0 leaves it to the runtime."""
    seconds: float = 10.0
    """Of interleaved timing for each device, batch size and number of threads; half as much is added for cold starts."""
    metrics: tuple[str, ...] | None = None
    """Words of that family, or `module:function`; None takes what suits labels and answers, with the fidelity metrics."""
    output: str | None = None
    """The output that carries the answer, where a model has several."""
    meters: tuple[str, ...] | None = None
    """Words of that family; None takes all."""
    by: tuple[str, ...] = ()
    """What to look at parts of the examples by: `label`, or columns of the data."""
    precision: float | None = None
    """Half the interval of the time ratio, relative to it: timing ends as soon as it is known to this."""
    least_speedup: float | None = None
    """A limit that the ratio is held against: timing ends as soon as that is decided."""
    own_process: bool | None = None
    """Each model in a process of its own; None where two in one would disturb each other, as PyTorch does."""
    compile: bool = False
    """Whether PyTorch models are also timed as torch.compile runs them."""
    seed: int = 0

    @classmethod
    def of(cls, **given: Any) -> "Settings":
        """From what people write: one value where several may stand, and no metric for those that suit."""
        given |= {name: _several(given[name]) for name in ("devices", "batches", "threads", "metrics", "by") if name in given}
        return cls(**given | {"metrics": given.get("metrics") or None})


STANDARD = Settings()


def _several(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, str | int) else tuple(value or ())


def measure(
    models: Sequence[Artifact], examples: "Examples", settings: Settings = STANDARD, progress: Progress = silent
) -> tuple[Measurement, ...]:
    """Measure all models on each device at each batch size; the first model is the reference that fidelity is taken to.

    In the result all models of one device, number of threads and batch size follow each other, in the order given. Once something is
    scored, Ctrl-C ends it with what was measured by then (see `was_interrupted`).

    Raises UsageError for a device that is not there or a metric that is none, ModelError for a model that does not load or run or whose
    reference answers are NaN, and DataError for examples that do not fit a model.
    """
    from optkit.measure._side_by_side import measure_all

    return measure_all(models, examples, settings, progress)


def metrics_of(settings: Settings) -> "list[Metric] | None":
    """The metrics that settings name; None leaves the choice to what labels and answers are. Raises UsageError for a word that is none."""
    from optkit.metrics import find_metric

    return None if settings.metrics is None else [find_metric(word, settings.output) for word in dict.fromkeys(settings.metrics)]


def detect_machine() -> Machine:
    """This machine."""
    from optkit.measure._machine import detect

    return detect()


def was_interrupted(measurements: Sequence[Measurement]) -> bool:
    """Whether Ctrl-C ended the measuring, so that some of what was asked for is missing."""
    return any(each.conditions is not None and each.conditions.interrupted for each in measurements)


def as_interrupted(measurements: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """What was measured before Ctrl-C ended what was to come next."""
    return tuple(replace(each, conditions=replace(each.conditions or NOTHING_TIMED, interrupted=True)) for each in measurements)


def scored_of(measurements: Sequence[Measurement], examples: int) -> int:
    """Of so many examples those that are scored, from the first on."""
    return examples - max((each.conditions.unscored for each in measurements if each.conditions is not None), default=0)
