"""Quality against speed, where there are several models: each a point with the intervals of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from markupsafe import Markup

from optkit.reports._places import places_of, rows_of
from optkit.reports._words import name_of, value_of
from optkit.reports.html.bounds import Bounds, after_with
from optkit.reports.html.scales import Scale, linear, logarithmic, tick_label, ticks
from optkit.reports.html.series import Series, series_of
from optkit.reports.html.svg import drawing, group, line, mark, text
from optkit.samples import kind_of
from optkit.units import show_seconds

if TYPE_CHECKING:
    from optkit.compare import Delta
    from optkit.report import Report

SIZES = ((1000.0, 420.0), (340.0, 320.0))
LEFT, RIGHT, TOP, BOTTOM = 66.0, 18.0, 18.0, 44.0
LARGE_RATIO = 3.0
"""Between the slowest and the fastest, from which on the axis is logarithmic."""
LETTER = 7.4
"""Width of one, about."""
GAP = 13.0
"""Between a point and its name."""
LINE = 14.0
STEPS = (0, 1, -1, 2, -2, 3, -3, 4, -4)
"""Lines by which a name may stand lower or higher than its point."""
QUALITY = ("agreement", "sqnr", "cosine")


@dataclass(frozen=True)
class Point:
    """A model."""

    series: Series
    speed: Bounds
    quality: Bounds
    says: str


@dataclass(frozen=True)
class Tradeoff:
    """The picture, wide and narrow, and what is on its axes."""

    pictures: tuple[Markup, Markup]
    quality: str
    place: str
    upward: str
    """Where better is."""


def view(report: "Report") -> Tradeoff | None:
    """None where there is nothing to choose between, or nothing was timed or scored."""
    places = places_of(report)
    if len(report.comparisons) < 2 or not places:
        return None
    rows = {each.after: rows_of(each, places[0]) for each in report.comparisons}
    metric = _quality_of(rows)
    pairs = {name: (row["latency_median"], row[metric]) for name, row in rows.items() if metric in row and "latency_median" in row}
    pairs = {name: pair for name, pair in pairs.items() if all(isfinite(delta.gain) for delta in pair)}
    if len(pairs) < 2:
        return None
    points = _points(report, pairs)
    higher = next(iter(pairs.values()))[1].better == "higher"
    drawn = [_picture(points, next(iter(pairs.values()))[1], *size) for size in SIZES]
    return Tradeoff((drawn[0], drawn[1]), name_of(metric), str(places[0]), "up" if higher else "down")


def _quality_of(rows: "dict[str, dict[str, Delta]]") -> str:
    known = [metric for row in rows.values() for metric in row]
    scores = [metric for metric in known if kind_of(metric) == "accuracy"]
    return next(iter([*scores, *(metric for metric in QUALITY if metric in known)]), "")


def _points(report: "Report", pairs: "dict[str, tuple[Delta, Delta]]") -> list[Point]:
    """Every model is placed by its ratio to the original, which was taken in turns; the original at its own value."""
    series = series_of(report)
    time, score = next(iter(pairs.values()))
    start = Bounds(time.before, time.before, time.before)
    origin = Bounds(score.before, score.before, score.before)
    says = f"{report.comparisons[0].before}, the original: {show_seconds(time.before)}, {value_of(score, score.before)}"
    points = [Point(series[report.comparisons[0].before], start, origin, says)]
    for name, (one, two) in pairs.items():
        speed, quality = after_with(one, time.before), after_with(two)
        points.append(Point(series[name], speed, quality, f"{name}: {_range(speed, one)}; {name_of(two.metric)} {_range(quality, two)}"))
    return points


def _range(bounds: Bounds, delta: "Delta") -> str:
    if not (isfinite(bounds.low) and isfinite(bounds.high)):
        return value_of(delta, bounds.value)
    return f"{value_of(delta, bounds.value)} ({value_of(delta, bounds.low)} to {value_of(delta, bounds.high)})"


def _picture(points: Sequence[Point], score: "Delta", width: float, height: float) -> Markup:
    times = [end for each in points for end in (each.speed.value, *_finite(each.speed))]
    spread = max(times) / min(times) > LARGE_RATIO
    across = (logarithmic if spread else linear)(times, LEFT, width - RIGHT, 0.1)
    up = linear([end for each in points for end in (each.quality.value, *_finite(each.quality))], height - BOTTOM, TOP, 0.12)
    right, floor = width - RIGHT, height - BOTTOM
    shown = ticks(across, 6 if width > 400 else 4)
    grid = [line(across(tick), TOP, across(tick), floor, "grid") for tick in shown]
    grid += [line(LEFT, up(tick), right, up(tick), "grid") for tick in ticks(up, 6)]
    labels = [
        text(across(tick), floor + 18, tick_label(show_seconds(tick)), anchor="middle") for tick in ticks(across, 6 if width > 400 else 4)
    ]
    labels += [text(LEFT - 8, up(tick) + 4, tick_label(value_of(score, tick)), anchor="end") for tick in ticks(up, 6)]
    titles = [text((LEFT + right) / 2, height - 4, "median latency: further left is faster", "small", "middle")]
    frame = [line(LEFT, floor, right, floor, "axis"), line(LEFT, TOP, LEFT, floor, "axis")]
    crosses = [_cross(each, across, up) for each in points]
    names = _names(points, across, up, right)
    label = "quality against latency: " + "; ".join(each.says for each in points)
    return drawing(width, height, label, *grid, *frame, *labels, *titles, *crosses, *names)


def _finite(bounds: Bounds) -> list[float]:
    return [end for end in (bounds.low, bounds.high) if isfinite(end)]


def _cross(point: Point, across: Scale, up: Scale) -> Markup:
    x, y, colour = across(point.speed.value), up(point.quality.value), point.series.colour
    parts = []
    if isfinite(point.speed.low) and isfinite(point.speed.high):
        parts.append(line(across(point.speed.low), y, across(point.speed.high), y, f"whisker {colour}"))
    if isfinite(point.quality.low) and isfinite(point.quality.high):
        parts.append(line(x, up(point.quality.low), x, up(point.quality.high), f"whisker {colour}"))
    original = point.series.number == 0
    dot = mark(0, x, y, 9.0, f"ring {colour}") if original else mark(point.series.number, x, y, 5.5, f"dot {colour}")
    return group(*parts, dot, says=point.says, data_model=point.series.name)


Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""


def _names(points: Sequence[Point], across: Scale, up: Scale, right: float) -> list[Markup]:
    """Beside the points, where they lie on no other name and on no mark, nor on the lines of others if that can be had."""
    spots = [(across(each.speed.value), up(each.quality.value)) for each in points]
    marks: list[Box] = [(x - 10, y - 8, x + 10, y + 8) for x, y in spots]
    lines = [_upright(each, x, y, up) for each, (x, y) in zip(points, spots, strict=True)]
    taken: list[Box] = []
    drawn = []
    for number in sorted(range(len(points)), key=lambda each: spots[each][1]):
        (x, y), series = spots[number], points[number].series
        length = len(series.name) * LETTER

        def cost(place: tuple[bool, float], x: float = x, y: float = y, length: float = length) -> float:
            box = _box(x, *place, length)
            outside = box[0] < LEFT or box[2] > right or box[1] < 0
            met = 100 * sum(_meet(box, each) for each in taken) + 30 * sum(_meet(box, each) for each in marks)
            return 1000 * outside + met + 3 * sum(_meet(box, each) for each in lines) + abs(place[1] - y + 8) / LINE

        before, height = min(((side, y - 8 + step * LINE) for step in STEPS for side in (False, True)), key=cost)
        taken.append(_box(x, before, height, length))
        drawn.append(text(x - GAP if before else x + GAP, height, series.name, f"label {series.colour}", "end" if before else None))
    return drawn


def _box(x: float, before: bool, y: float, length: float) -> Box:
    """Of a name whose letters stand on the height `y`."""
    left = x - GAP - length if before else x + GAP
    return left, y - 11, left + length, y + 3


def _upright(point: Point, x: float, y: float, up: Scale) -> Box:
    ends = [up(end) for end in _finite(point.quality)] or [y]
    return x - 1, min(ends), x + 1, max(ends)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
