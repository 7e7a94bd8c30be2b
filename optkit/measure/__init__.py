"""Run models side by side on each device: interleaved, on the same examples, raw values kept.

The only place where runtimes, examples, metrics and meters meet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    """python, optkit, onnxruntime, numpy, …"""


@dataclass(frozen=True)
class Conditions:
    """What else went on while the models of one device and batch size were timed. Shares are of the machine's whole computing time."""

    rounds: int
    seconds: float
    others: float
    """Share that other programs computed."""
    stolen: float
    """Share that the host of a virtual machine took."""
    slowest_clock: float | None
    """The processors' slowest clock relative to the fastest; None where the system does not tell."""
    openings: int | None = None
    """How often each model was opened: once for every round, or once for all where opening takes too long. None in older reports."""
    interrupted: bool = False
    """Ctrl-C ended it: what was not reached is not there."""
    mixed: bool = False
    """The first model takes longer for some examples than for others, so that a mix of them was timed which is as theirs."""


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
    """None where nothing was timed."""


def measure(
    models: Sequence[Artifact],
    examples: "Examples",
    metrics: Sequence["Metric"] | None = None,
    *,
    devices: Sequence[str] = ("cpu",),
    batches: Sequence[int] = (1,),
    threads: int | Sequence[int] = 1,
    seconds: float = 10.0,
    seed: int = 0,
    output: str | None = None,
    meters: Sequence[str] | None = None,
    precision: float | None = None,
    least_speedup: float | None = None,
    own_process: bool | None = None,
    progress: Progress = silent,
) -> tuple[Measurement, ...]:
    """Measure all models on each device at each batch size; the first model is the reference that fidelity is taken to.

    `metrics` None measures what suits the labels and the answers, with the fidelity metrics; `output` then names the output that
    carries the answer where there are several. `meters` are words of that family, all by default. `seconds` is the time given to the
    interleaved timing of one device, batch size and number of threads, half of which is added for cold starts. `threads` 0 leaves
    the number to the runtime; of several numbers, answers are those of the first. With `precision` (half the width of the interval
    of the time ratio, relative) or `least_speedup` (a limit that the ratio is to be held against) timing ends as soon as that is
    known. `own_process` runs each model in a process of its own, None where two in one would disturb each other: where PyTorch is
    one of the runtimes. In the result all models of one device, number of threads and batch size follow each other, in the order
    given.

    Raises UsageError for a device that is not there, ModelError for a model that does not load or run or whose reference answers
    are NaN, and DataError for examples that do not fit a model.
    """
    from optkit.measure._enough import Wish
    from optkit.measure._side_by_side import Asked, measure_all

    wish = Wish(precision, None if least_speedup is None else 1 / least_speedup)
    read = None if meters is None else tuple(meters)
    counts = (threads,) if isinstance(threads, int) else tuple(dict.fromkeys(threads))
    asked = Asked(tuple(devices), tuple(batches), counts, seconds, seed, output, read, wish, own_process)
    return measure_all(models, examples, metrics, asked, progress)


def detect_machine() -> Machine:
    """This machine."""
    from optkit.measure._machine import detect

    return detect()


def was_interrupted(measurements: Sequence[Measurement]) -> bool:
    """Whether Ctrl-C ended the measuring, so that some of what was asked for is missing."""
    return any(each.conditions is not None and each.conditions.interrupted for each in measurements)
