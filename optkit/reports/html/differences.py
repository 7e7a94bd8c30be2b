"""Before and after: every difference at every place, in words and as an interval."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from markupsafe import Markup

from optkit.reports._places import Place, places_of, rows_of, sections
from optkit.reports._words import after_of, before_of, name_of, rank, sentence
from optkit.reports.html.bounds import Axis, axis_of, bounds_on, gain_on
from optkit.reports.html.intervals import CAPTIONS, Bar, axis_picture, picture, scale_for
from optkit.reports.html.series import Series, series_of
from optkit.samples import FALL_BACKS

if TYPE_CHECKING:
    from optkit.compare import Delta
    from optkit.gate import Check
    from optkit.report import Report

JUDGED = {"better": "better", "worse": "worse", "same": "same", "undecided": "undecided"}
OF_THE_ORIGINAL = ("agreement", "cosine", "sqnr")
"""Being less than identical to the original is neither better nor worse."""


@dataclass(frozen=True)
class Row:
    """A metric of a model."""

    metric: str
    model: Series
    before: str
    after: str
    words: str
    sign: str
    """better, worse, same, undecided, or none."""
    picture: Markup | None


@dataclass(frozen=True)
class Group:
    """Rows that share an axis."""

    title: str
    caption: str
    axis: Markup | None
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """Everything at one place."""

    place: str
    groups: tuple[Group, ...]


def view(report: "Report") -> list[Table]:
    """A table for each place."""
    return [Table(str(place), tuple(_groups(report, place))) for place in places_of(report)]


def _groups(report: "Report", place: Place) -> Iterator[Group]:
    series = series_of(report)
    found = [(series[each.after], rows_of(each, place)) for each in report.comparisons]
    metrics = sorted({metric for _, row in found for metric in row}, key=rank)
    for section, here in sections(metrics):
        pairs = [(model, row[metric]) for metric in here for model, row in found if metric in row]
        title = section
        for axis in dict.fromkeys(axis_of(delta) for _, delta in pairs):
            together = [(model, delta) for model, delta in pairs if axis_of(delta) == axis]
            yield _group(title, axis, together, report)
            title = ""


def _group(title: str, axis: Axis | None, pairs: "list[tuple[Series, Delta]]", report: "Report") -> Group:
    if axis is None:
        return Group(title, "", None, tuple(_row(model, delta, None) for model, delta in pairs))
    bars = [_bar(axis, model, delta, report) for model, delta in pairs]
    scale = scale_for(axis, bars)
    rows = tuple(_row(model, delta, picture(bar, axis, scale)) for (model, delta), bar in zip(pairs, bars, strict=True))
    return Group(title, CAPTIONS[axis], axis_picture(axis, scale), rows)


def _bar(axis: Axis, model: Series, delta: "Delta", report: "Report") -> Bar:
    limit = limit_of(delta, report)
    threshold = None if limit is None or limit.threshold is None else gain_on(axis, limit.threshold, delta)
    return Bar(bounds_on(axis, delta), sign_of(delta), threshold, told(model, delta))


def _row(model: Series, delta: "Delta", drawn: Markup | None) -> Row:
    return Row(name_of(delta.metric), model, before_of(delta), after_of(delta), sentence(delta), sign_of(delta), drawn)


def limit_of(delta: "Delta", report: "Report") -> "Check | None":
    """The check that held a limit against this difference."""
    checks = report.verdict.checks if report.verdict is not None else ()
    return next((check for check in checks if check.delta == delta), None)


def sign_of(delta: "Delta") -> str:
    """What its mark shows."""
    if delta.metric in OF_THE_ORIGINAL:
        return "none"
    counted = delta.metric == FALL_BACKS  # known exactly, also where there was none before
    return JUDGED[delta.verdict] if counted or isfinite(delta.gain) else "undecided"


def told(model: Series, delta: "Delta") -> str:
    """A difference with everything there is to know of it, for whoever points at it."""
    before, after = before_of(delta), after_of(delta)
    values = f"{before} before, {after} after" if before else after
    basis = delta.method if delta.n == 1 else f"{delta.method}, n = {delta.n:,}"
    return f"{name_of(delta.metric)} of {model.name}: {values}; {sentence(delta)} ({basis})"
