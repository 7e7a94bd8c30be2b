"""How each model came to be, pass by pass, and how each number was made: what somebody needs who wants to do it again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optkit.reports._words import name_of, rank
from optkit.reports.html.series import Series, series_of

if TYPE_CHECKING:
    from optkit.artifact import Made
    from optkit.report import Report

DIGITS = 12
"""Of a digest."""
MOST_LISTED = 40


@dataclass(frozen=True)
class Step:
    """A pass with everything that it was given and had to say."""

    number: int
    by: str
    parameters: tuple[tuple[str, str], ...]
    source: str
    data: str
    seed: int
    versions: str
    notes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Origin:
    """A model file."""

    series: Series
    file: str
    digest: str
    nodes: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Method:
    """What intervals of some metrics rest on."""

    metrics: str
    method: str
    n: str


def view(report: "Report") -> list[Origin]:
    """Every model once."""
    series = series_of(report)
    first = {each.name: each for each in reversed(report.measurements)}
    return [
        Origin(
            series[name],
            first[name].model.path.name,
            first[name].model.digest[:DIGITS],
            ", ".join(f"{count:,} on {_provider(provider)}" for provider, count in first[name].nodes.items()),
            tuple(_step(number, made) for number, made in enumerate(first[name].model.lineage, 1)),
        )
        for name in series
        if name in first
    ]


def _step(number: int, made: "Made") -> Step:
    return Step(
        number,
        made.by,
        _pairs(made.parameters),
        made.source[:DIGITS],
        "" if made.data is None else made.data[:DIGITS],
        made.seed,
        ", ".join(f"{name} {version}" for name, version in made.versions.items()),
        _pairs(
            {key.replace("_", " "): value for key, value in made.notes.items() if value not in (None, "", [], {}) and key != "calibration"}
        ),
    )


def _pairs(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name, plainly(value)) for name, value in facts.items())


def plainly(value: Any) -> str:
    """A parameter or a note in one line."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case Mapping():
            return _listed([f"{key}: {plainly(each)}" for key, each in value.items()])
        case str():
            return value
        case Sequence():
            return _listed([plainly(each) for each in value])
        case _:
            return str(value)


def _listed(parts: Sequence[str]) -> str:
    more = f", … ({len(parts):,} in all)" if len(parts) > MOST_LISTED else ""
    return ", ".join(parts[:MOST_LISTED]) + more or "none"


def methods(report: "Report") -> list[Method]:
    """How the intervals were made, for whoever wants to know."""
    deltas = [delta for each in report.comparisons for delta in each.deltas]
    found: dict[str, dict[str, None]] = {}
    counts: dict[str, set[int]] = {}
    for delta in sorted(deltas, key=lambda delta: rank(delta.metric)):
        found.setdefault(delta.method, {})[name_of(delta.metric)] = None
        counts.setdefault(delta.method, set()).add(delta.n)
    return [Method("; ".join(names), method, _span(counts[method])) for method, names in found.items()]


def _span(counts: set[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


def _provider(name: str) -> str:
    return name.removesuffix("ExecutionProvider")
