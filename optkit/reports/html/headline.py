"""What a reader should know first: the verdict in a word, and the few numbers that matter most."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from optkit.reports._places import places_of, rows_of
from optkit.reports._words import after_of, before_of, name_of, sentence, verdict_sentence, warnings_of
from optkit.reports.html.differences import sign_of
from optkit.reports.html.series import Series, series_of
from optkit.samples import kind_of

if TYPE_CHECKING:
    from optkit.compare import Comparison, Delta
    from optkit.report import Report

MOST_SCORES = 2
COSTS = ("size", "memory", "device_memory")
FIDELITY = ("agreement", "sqnr", "cosine")
TITLES = {"latency_median": "speed", "throughput": "speed", "device_memory": "device memory", "memory": "peak memory", "size": "file size"}


@dataclass(frozen=True)
class Banner:
    """The verdict: `sign` is passed, failed, undecided or none."""

    sign: str
    word: str
    sentence: str
    reasons: tuple[tuple[str, str], ...]
    """Limits that are broken or undecided, each with why."""


@dataclass(frozen=True)
class Tile:
    """One number that matters."""

    title: str
    figure: str
    words: str
    sign: str
    change: str
    """Before → after."""


@dataclass(frozen=True)
class Glance:
    """Several models against the original, in few numbers."""

    titles: tuple[str, ...]
    original: tuple[Series, tuple[str, ...]]
    rows: tuple[tuple[Series, tuple[Tile | None, ...]], ...]


def banner(report: "Report") -> Banner:
    """The verdict, or that there is none."""
    if report.verdict is None:
        return Banner("none", "Compared", "No limits were set, so nothing is judged.", ())
    word, _, rest = verdict_sentence(report.verdict).partition(": ")
    open_ones = [check for check in report.verdict.checks if check.outcome != "passed"]
    return Banner(report.verdict.outcome, word.capitalize(), rest, tuple((check.limit, check.reason) for check in open_ones))


def tiles(report: "Report") -> tuple[Tile, ...]:
    """Of a single comparison, at the first place."""
    if len(report.comparisons) != 1:
        return ()
    return tuple(_tile(delta) for delta in _chosen(report, report.comparisons[0]).values())


def glance(report: "Report") -> Glance | None:
    """Of several comparisons, at the first place."""
    if len(report.comparisons) < 2:
        return None
    series = series_of(report)
    rows = {each.after: _chosen(report, each) for each in report.comparisons}
    metrics = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    first = {metric: next(row[metric] for row in rows.values() if metric in row) for metric in metrics}
    original = tuple(before_of(first[metric]) or "–" for metric in metrics)
    cells = tuple((series[name], tuple(_tile(row[m]) if m in row else None for m in metrics)) for name, row in rows.items())
    return Glance(tuple(map(_title, metrics)), (series[report.comparisons[0].before], original), cells)


def _chosen(report: "Report", comparison: "Comparison") -> "dict[str, Delta]":
    """The differences that matter most, the answers' quality first."""
    places = places_of(report)
    here = rows_of(comparison, places[0]) if places else {}
    scores = [metric for metric in here if kind_of(metric) == "accuracy"][:MOST_SCORES]
    scores = ["finite"] * ("finite" in here) + (scores or [metric for metric in FIDELITY if metric in here][:1])
    return {metric: here[metric] for metric in (*scores, comparison.speed, *COSTS) if metric in here}


def _tile(delta: "Delta") -> Tile:
    figure, words = _split(delta)
    before = before_of(delta)
    return Tile(_title(delta.metric), figure, words, sign_of(delta), f"{before} → {after_of(delta)}" if before else "")


def _title(metric: str) -> str:
    return TITLES.get(metric, name_of(metric))


def _split(delta: "Delta") -> tuple[str, str]:
    """The figure to print large, and the rest of what is to say."""
    if kind_of(delta.metric) != "cost" or not isfinite(delta.gain):
        return after_of(delta), sentence(delta)
    figure, _, rest = sentence(delta).partition(" ")
    if not figure[0].isdigit():
        return "=" if delta.verdict == "same" and delta.n == 1 else "≈", sentence(delta)
    return figure, rest.replace("of it", "of the original", 1)


def warnings(report: "Report") -> dict[str, list[str]]:
    """Hints, each with everything that is to be said before it."""
    return {hint: list(map(_begun, whats)) for hint, whats in warnings_of(report).items()}


def _begun(sentence: str) -> str:
    """With a capital, unless it begins with the name of a file."""
    first = sentence.partition(" ")[0]
    return sentence if "." in first or not first.islower() else sentence[0].upper() + sentence[1:]


def overview(report: "Report") -> Iterator[str]:
    """When and on what it was measured, in short."""
    yield report.created.replace("T", " ").replace("+00:00", " UTC")
    yield from report.notes[:1]
