"""Who paid: differences on parts of the examples, worst first."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from optkit.reports._slices import SAME, change, comes_to, unchanged
from optkit.reports._words import after_of, before_of, name_of
from optkit.reports.html.bounds import Axis, axis_of, bounds_on
from optkit.reports.html.differences import sign_of, told
from optkit.reports.html.intervals import CAPTIONS, Bar, axis_picture, picture, scale_for
from optkit.reports.html.series import Series, series_of

if TYPE_CHECKING:
    from optkit.compare import Comparison, Delta, Slice
    from optkit.report import Report

FIRST, MOST = 12, 60
"""Rows that are open, and all that are shown: the worst; those beyond the first unfold."""


@dataclass(frozen=True)
class Part:
    """One class."""

    value: str
    examples: int
    before: str
    after: str
    words: str
    sign: str
    picture: Markup | None


@dataclass(frozen=True)
class Parts:
    """All classes of one metric for one model."""

    model: Series
    metric: str
    device: str
    by: str
    unit: str
    """Of the differences."""
    caption: str
    axis: Markup | None
    first: tuple[Part, ...]
    rest: tuple[Part, ...]
    hidden: int
    says: str
    """What all of it comes to."""


def view(report: "Report") -> list[Parts]:
    """For each model, metric and device that was asked for."""
    series = series_of(report)
    return [parts for each in report.comparisons for parts in _of(each, series[each.after])]


def _of(comparison: "Comparison", model: Series) -> list[Parts]:
    kinds: dict[tuple[str, str, str, Axis | None], list[Slice]] = {}
    for each in comparison.slices:
        kinds.setdefault((each.delta.metric, each.delta.device, each.by, _axis(comparison, each.delta)), []).append(each)
    return [_parts(model, *kind, slices) for kind, slices in kinds.items()]


def _axis(comparison: "Comparison", delta: "Delta") -> Axis | None:
    """Of the metric as a whole: a class that had nothing right has no axis of its own."""
    whole = next((each for each in comparison.deltas if (each.metric, each.device) == (delta.metric, delta.device)), delta)
    return axis_of(whole)


def _parts(model: Series, metric: str, device: str, by: str, axis: Axis | None, slices: "list[Slice]") -> Parts:
    unit = "points" if slices[0].delta.unit == "ratio" else "%"
    if unchanged(slices):
        return Parts(model, name_of(metric), device, by, unit, "", None, (), (), 0, SAME.format(len(slices)))
    bars = [None if axis is None or axis_of(each.delta) is None else _bar(axis, model, each) for each in slices[:MOST]]
    drawn = [bar for bar in bars if bar is not None]
    scale = scale_for(axis, drawn) if axis is not None and drawn else None
    rows = tuple(
        Part(
            each.value,
            each.examples,
            before_of(each.delta),
            after_of(each.delta),
            change(each.delta),
            sign_of(each.delta),
            None if bar is None or axis is None or scale is None else picture(bar, axis, scale),
        )
        for each, bar in zip(slices[:MOST], bars, strict=True)
    )
    pictured = None if axis is None or scale is None else axis_picture(axis, scale)
    caption = CAPTIONS[axis] if axis is not None else ""
    return Parts(
        model, name_of(metric), device, by, unit, caption, pictured, rows[:FIRST], rows[FIRST:], len(slices) - len(rows), comes_to(slices)
    )


def _bar(axis: Axis, model: Series, part: "Slice") -> Bar:
    says = f"{part.by} {part.value}, {part.examples:,} examples: {told(model, part.delta)}"
    return Bar(bounds_on(axis, part.delta), sign_of(part.delta), None, says)
