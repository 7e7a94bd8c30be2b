"""How long queries took: the whole distribution of each model on one axis, and the medians round by round."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from optkit.arrays import Array
from optkit.reports._places import Place, places_of, rows_of
from optkit.reports.html.scales import Scale, logarithmic, tick_label, ticks
from optkit.reports.html.series import Series, measured_at, series_of
from optkit.reports.html.svg import area, drawing, element, group, line, mark, polyline, text
from optkit.units import show_seconds

if TYPE_CHECKING:
    from optkit.measure import Measurement
    from optkit.report import Report
    from optkit.samples import Samples


WIDE, NARROW = 480.0, 340.0
"""Of pictures, for screens and for phones: text keeps its size."""
ROW, TOP, AXIS = 84.0, 22.0, 26.0
POINTS = 160
"""Of a curve."""
SHOWN = (0.002, 0.975)
"""Quantiles that the axis reaches to, and to p99 where it is told; the slowest queries would leave no room for the others."""
NARROWEST_KERNEL = 0.012
"""Of the logarithm of times: clocks and schedulers make steps that mean nothing."""
MOST_DOTS = 100
"""On a line of rounds; where there are more they are those of every so many rounds, as in the table."""
MOST_POINTS = 400
"""Of which a line of rounds keeps the lowest and the highest: no screen shows more."""
NAME_WIDTH = 36.0
"""Of `median`, about."""
QUANTILES = (("median", 0.5, None), ("p90", 0.9, "latency_p90"), ("p99", 0.99, "latency_p99"))


@dataclass(frozen=True)
class Pictures:
    """Pictures of one place."""

    place: str
    distributions: tuple[Markup, Markup]
    """Wide and narrow."""
    rounds: tuple[Markup, Markup] | None
    beyond: str
    """What the axis leaves out."""
    models: tuple[Series, ...]
    table: tuple[tuple[str, ...], ...]
    """The same in numbers: what it is, and its time for each model."""


@dataclass(frozen=True)
class Times:
    """The queries of one model."""

    series: Series
    seconds: Array
    rounds: Array
    shown: tuple[str, ...]
    """Quantiles that there were enough queries for."""

    @cached_property
    def medians(self) -> Array:
        """Of each round, in order."""
        order = np.argsort(self.rounds, kind="stable")
        _, starts = np.unique(self.rounds[order], return_index=True)
        return np.array([np.median(one) for one in np.split(self.seconds[order], starts[1:])])


def view(report: "Report") -> list[Pictures]:
    """Pictures for each place where latency was measured."""
    found = [(place, _times(report, place)) for place in places_of(report)]
    return [_pictures(place, times) for place, times in found if times]


def _pictures(place: Place, times: list[Times]) -> Pictures:
    sizes = (WIDE, NARROW)
    several = all(len(each.medians) > 1 for each in times)
    return Pictures(
        str(place),
        (_distributions(times, WIDE), _distributions(times, NARROW)),
        (_rounds(times, sizes[0]), _rounds(times, sizes[1])) if several else None,
        _beyond(times),
        tuple(each.series for each in times),
        tuple(_table(times)),
    )


def _table(times: list[Times]) -> Iterator[tuple[str, ...]]:
    for name, at, _ in QUANTILES:
        known = [show_seconds(float(np.quantile(each.seconds, at))) if name in each.shown else "" for each in times]
        if any(known):
            yield f"{name} of all queries", *known
    medians = [each.medians for each in times]
    longest = max(map(len, medians))
    if longest > 1:
        for number in _picked(longest):
            yield f"median of round {number:,}", *(show_seconds(float(row[number - 1])) if number <= len(row) else "" for row in medians)


def _picked(rounds: int) -> range:
    """Numbers of the rounds whose values can be read."""
    return range(1, rounds + 1, -(-rounds // MOST_DOTS))


def _times(report: "Report", place: Place) -> list[Times]:
    series = series_of(report)
    supported = {delta.metric for each in report.comparisons for delta in rows_of(each, place).values()}
    shown = tuple(name for name, _, metric in QUANTILES if metric is None or metric in supported)
    found = [(each, _latency(each)) for each in measured_at(report, place)]
    return [
        Times(series[each.name], np.asarray(values.values), np.asarray(values.groups or range(len(values.values))), shown)
        for each, values in found
        if values is not None and values.values
    ]


def _latency(measured: "Measurement") -> "Samples | None":
    return next((samples for samples in measured.samples if samples.metric == "latency"), None)


def _axis(times: list[Times], start: float, end: float) -> Scale:
    reached = [(SHOWN[0], 0.99 if "p99" in each.shown else SHOWN[1]) for each in times]
    ends = [float(value) for each, at in zip(times, reached, strict=True) for value in np.quantile(each.seconds, at)]
    return logarithmic(ends, start, end, 0.05)


def _beyond(times: list[Times]) -> str:
    scale = _axis(times, 0, 1)
    shares = [float((each.seconds > scale.high).mean()) for each in times]
    if max(shares) < 0.0005:
        return ""
    told = ", ".join(f"{share:.1%} of {each.series.name}" for each, share in zip(times, shares, strict=True) if share >= 0.0005)
    return f"Slower than the axis reaches: {told}."


def _distributions(times: list[Times], width: float) -> Markup:
    scale = _axis(times, 12, width - 12)
    height = TOP + ROW * len(times) + AXIS
    marks = ticks(scale, 5 if width == WIDE else 4)
    grid = [line(scale(tick), TOP - 6, scale(tick), height - AXIS, "grid") for tick in marks]
    labels = [text(scale(tick), height - 8, tick_label(show_seconds(tick)), anchor="middle") for tick in marks]
    rows = [_row(each, scale, TOP + ROW * i, width) for i, each in enumerate(times)]
    label = "latency distributions: " + "; ".join(_quantiles_told(each) for each in times)
    return drawing(width, height, label, *grid, *rows, *labels)


def _row(times: Times, scale: Scale, top: float, width: float) -> Markup:
    floor, colour = top + ROW - 24, times.series.colour
    curve = density(times.seconds, scale)
    points = [(float(scale(x)), floor - float(y) * (ROW - 48)) for x, y in curve]
    parts = [area(points, floor, f"fill {colour}"), polyline(points, f"curve {colour}"), line(12, floor, width - 12, floor, "axis")]
    last = -100.0
    for name, at, _ in QUANTILES:
        if name not in times.shown:
            continue
        value = float(np.quantile(times.seconds, at))
        x = scale(value)
        if name == "median":
            parts.append(line(x, floor, x, top + 20, f"stem {colour}"))
            parts.append(mark(0, x, floor, 4.2, f"dot {colour}"))
        else:
            parts.append(line(x, floor - 6, x, floor + 6, f"whisker {colour}"))
        if x - last > NAME_WIDTH and (name == "median" or scale.holds(value)):
            parts.append(text(x, floor + 14, name, "small", "middle"))
            last = x
    title = text(12, top + 8, times.series.name, f"label {colour}")
    return group(title, *parts, says=_quantiles_told(times), data_model=times.series.name)


def density(seconds: Array, scale: Scale) -> list[tuple[float, float]]:
    """Times smoothed on their logarithm: places along the axis with heights from 0 to 1. Kernel: Silverman's rule on the middle half."""
    logs = np.log(seconds)
    low, high = np.log(scale.low), np.log(scale.high)
    edges = np.linspace(low, high, POINTS * 4 + 1)
    counts, _ = np.histogram(logs, edges)
    middle = float(np.subtract(*np.quantile(logs, (0.75, 0.25))))
    spread = min(float(logs.std()), middle / 1.34) if middle else float(logs.std())
    kernel = max(0.9 * spread * len(logs) ** -0.2, NARROWEST_KERNEL, float(high - low) / POINTS)
    step = float(edges[1] - edges[0])
    reach = int(4 * kernel / step) + 1
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / kernel) ** 2)
    smooth = np.convolve(counts, weights)[reach:-reach]
    peak = float(smooth.max()) or 1.0
    centres = np.exp((edges[:-1] + edges[1:]) / 2)
    return [(float(x), float(y) / peak) for x, y in zip(centres[::4], smooth[::4], strict=True)]


def _quantiles_told(times: Times) -> str:
    known = [f"{name} {show_seconds(float(np.quantile(times.seconds, at)))}" for name, at, _ in QUANTILES if name in times.shown]
    return f"{times.series.name}: {', '.join(known)}, {len(times.seconds):,} queries"


def _rounds(times: list[Times], width: float) -> Markup:
    height, left = max(TOP + ROW * len(times) + AXIS, 190.0), 60.0
    medians = [each.medians for each in times]
    longest = max(map(len, medians))
    across = Scale(1, max(longest, 2), left, width - 14)
    up = logarithmic([float(value) for row in medians for value in row], height - 34, 12, 0.12)
    marks = ticks(up, 5)
    grid = [line(left, up(tick), width - 14, up(tick), "grid") for tick in marks]
    labels = [text(left - 8, up(tick) + 4, tick_label(show_seconds(tick)), anchor="end") for tick in marks]
    labels += [text(across(number), height - 14, str(number), anchor="middle") for number in (1, (longest + 1) // 2, longest)]
    rows = [_round_line(each, row, across, up) for each, row in zip(times, medians, strict=True)]
    label = "median of each round: " + "; ".join(f"{each.series.name}, {len(row)} rounds" for each, row in zip(times, medians, strict=True))
    return drawing(width, height, label, *grid, *labels, *rows, text((left + width) / 2, height - 1, "round", "small", "middle"))


def extremes(values: Array) -> list[int]:
    """Places of values that a line must go through to look as if it went through all: of each few, the lowest and the highest."""
    few = -(-len(values) // MOST_POINTS)
    if few < 3:
        return list(range(len(values)))
    parts = ((start, values[start : start + few]) for start in range(0, len(values), few))
    ends = {start + int(pick(part)) for start, part in parts for pick in (np.argmin, np.argmax)}
    return sorted({0, *ends, len(values) - 1})


def _round_line(times: Times, medians: Array, across: Scale, up: Scale) -> Markup:
    colour = times.series.colour
    points = [(across(number), up(float(value))) for number, value in enumerate(medians, 1)]
    drawn = [points[i] for i in extremes(medians)]
    dots = [
        group(
            mark(times.series.number, *points[number - 1], 3.2, f"dot {colour}"),
            says=f"{times.series.name}, round {number:,}: {show_seconds(float(medians[number - 1]))}",
        )
        for number in _picked(len(points))
    ]
    return element("g", polyline(drawn, f"curve {colour}"), *dots)
