"""How fast models are when queries come as they do in service: scenarios instead of a comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING

from optkit.artifact import Artifact
from optkit.compare import Warned
from optkit.measure import Conditions, Machine, detect_machine
from optkit.progress import Progress, silent
from optkit.registry import load
from optkit.scenarios import Figure, Outcome, Scenario, Traffic
from optkit.units import counted

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.measure.watch import Watch

SCHEMA = 1

MILLION = 1_000_000
HOUR = 3600.0


@dataclass(frozen=True)
class Benched:
    """What one model came to in one scenario on one device with so many threads."""

    model: str
    digest: str
    scenario: str
    device: str
    threads: int
    outcome: Outcome


@dataclass(frozen=True)
class Watched:
    """What else the machine did while the models of one scenario on one device with so many threads were asked."""

    scenario: str
    device: str
    threads: int
    conditions: Conditions
    warnings: tuple[Warned, ...]
    """What makes its figures less trustworthy, and what to do about it."""


@dataclass(frozen=True)
class Stored:
    """What one model takes on disk, external data included."""

    model: str
    size: int
    compressed: int | None
    """After gzip at its fastest level; None for models that are too large to try."""


@dataclass(frozen=True)
class BenchReport:
    """Everything that `optkit bench` measured."""

    schema: int
    created: str
    machine: Machine
    traffic: Traffic
    data: str
    """What the queries were made of."""
    results: tuple[Benched, ...]
    watched: tuple[Watched, ...] = ()
    price: float | None = None
    """Of the machine, for an hour."""
    files: tuple[Stored, ...] = ()
    loadgen: bool = False
    """MLCommons' LoadGen sent the queries."""
    interrupted: bool = False
    """Ctrl-C ended it: scenarios and batch sizes that were not reached are not there."""


def bench(
    models: Sequence[Artifact],
    examples: "Examples",
    *,
    scenarios: Sequence[str] = ("single_stream", "offline"),
    devices: Sequence[str] = ("cpu",),
    threads: Sequence[int] = (1,),
    traffic: Traffic | None = None,
    price: float | None = None,
    loadgen: bool = False,
    progress: Progress = silent,
) -> BenchReport:
    """Run models through scenarios, on each device with each number of threads; models of one scenario take turns.

    `price` is that of the machine for an hour, in any currency; throughput then becomes the cost of a million inferences.
    With `loadgen`, MLCommons' LoadGen sends the queries and keeps the time, one model after the other.
    Ctrl-C ends it, with what was measured by then, if that is anything. Percentiles that show queries which waited for other programs
    are left out (`compare.waiting`), and `watched` says so.
    Raises UsageError, ModelError or DataError, and MissingLibrary where LoadGen is wanted and not there.
    """
    from optkit.bench._candidates import candidates
    from optkit.bench._doubts import judged, watched
    from optkit.formats import compressed_size, model_size
    from optkit.measure.names import distinguishing_names
    from optkit.measure.watch import Watch
    from optkit.scenarios._loadgen import LoadGenerator

    traffic = traffic or Traffic()
    results: list[Benched] = []
    seen: list[Watched] = []
    stopped: list[bool] = []
    for device, count, word in product(devices, threads, scenarios):
        try:
            scenario: Scenario = LoadGenerator(word) if loadgen else load("scenarios", word)()
            ready = candidates(models, examples, device, count, traffic, streaming=word == "streaming")
            watch = Watch(list)
            told = _told(progress, watch, f"{word} on {device}, {counted(count, 'thread')}")
            ran = scenario.run(ready, traffic, told, lambda: stopped.append(True))
            conditions = replace(watched(watch.found(0, 0), ran), interrupted=bool(stopped))
            place = f"on {device}" + ("" if count < 2 else f" with {count} threads")
            outcomes, warnings = judged([each.name for each in ready], ran, conditions, place, traffic.seconds)
            seen.append(Watched(word, device, count, conditions, warnings))
            for model, candidate, outcome in zip(models, ready, outcomes, strict=True):
                priced = replace(outcome, figures=(*outcome.figures, *_cost(outcome.figures, price)))
                results.append(Benched(candidate.name, model.digest, word, device, count, priced))
        except KeyboardInterrupt:
            if not results:
                raise
            stopped.append(True)
        if stopped:
            break
    created = datetime.now(UTC).isoformat(timespec="seconds")
    names = distinguishing_names([model.path for model in models])
    files = tuple(Stored(name, model_size(each.path), compressed_size(each.path)) for name, each in zip(names, models, strict=True))
    return BenchReport(
        SCHEMA, created, detect_machine(), traffic, examples.source, tuple(results), tuple(seen), price, files, loadgen, bool(stopped)
    )


def _cost(figures: Sequence[Figure], price: float | None) -> Sequence[Figure]:
    """Of a million inferences, at the highest rate that the scenario found."""
    rates: Mapping[str, Figure] = {figure.name: figure for figure in figures}
    rate = rates.get("throughput") or rates.get("queries_per_second")
    if price is None or rate is None:
        return ()

    def cost(a_second: float | None) -> float | None:
        return None if not a_second else price / HOUR / a_second * MILLION

    value = cost(rate.value)
    return () if value is None else (Figure("cost_per_million", "$", value, cost(rate.high), cost(rate.low), rate.n),)


def _told(progress: Progress, watch: "Watch", where: str) -> Progress:
    def told(what: str, done: int, total: int) -> None:
        watch.look()
        progress(f"{where}: {what}", done, total)

    return told
