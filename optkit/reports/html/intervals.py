"""Differences as points with whiskers on a shared axis: the line of no difference, and the limit where there is one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from statistics import median

from markupsafe import Markup

from optkit.reports.html.bounds import Axis, Bounds
from optkit.reports.html.scales import Scale, linear, ticks
from optkit.reports.html.svg import drawing, element, group, line, mark, text

WIDTH, HEIGHT, MARGIN = 320.0, 30.0, 16.0
AXIS_HEIGHT = 24.0
NONE = {"times": 1.0, "points": 0.0, "percent": 0.0}
"""No difference."""
FARTHEST = 1.6
"""Whiskers reach so far beyond the points, in shares of what the points span, or so many usual whiskers; then they end in an arrow."""
FARTHEST_TIMES = 2.0
"""The same for ratios: a factor."""
CLOSEST = 36.0
"""Between values written beside an axis."""
LADDERS = (
    (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0),
    (0.25, 0.5, 1.0, 2.0, 3.0, 4.0),
    tuple(2.0**power for power in range(-12, 13)),
    tuple(4.0**power for power in range(-9, 10)),
    tuple(16.0**power for power in range(-9, 10)),
)
"""What may be written on an axis of ratios: the first of which the values do not crowd."""
SIGNS = {"better": "better", "worse": "worse"}


@dataclass(frozen=True)
class Bar:
    """One difference on its axis."""

    bounds: Bounds
    verdict: str
    limit: float | None
    says: str
    colour: str | None = None
    """Of its model, where a picture holds several."""


def scale_for(axis: Axis, bars: Iterable[Bar]) -> Scale:
    """An axis that holds every point and limit and, where they are not much longer, the whiskers."""
    bars = list(bars)
    must = [NONE[axis], *(bar.bounds.value for bar in bars), *(bar.limit for bar in bars if bar.limit is not None)]
    ends = [end for bar in bars for end in (bar.bounds.low, bar.bounds.high)]
    start, end = MARGIN, WIDTH - MARGIN
    if axis == "times":
        return _ratios(must, ends, start, end)
    known = [value for value in must if isfinite(value)]
    usual = median([abs(end - bar.bounds.value) for bar in bars for end in (bar.bounds.low, bar.bounds.high) if isfinite(end)] or [1.0])
    reach = FARTHEST * max(max(known) - min(known), 2 * usual)
    least, most = min(known) - reach, max(known) + reach
    return linear([*known, *(min(max(value, least), most) for value in ends)], start, end)


def _ratios(must: Sequence[float], ends: Sequence[float], start: float, end: float) -> Scale:
    known = [value for value in must if 0 < value < float("inf")]
    low, high = min(*known, 1 / 1.25), max(*known, 1.25)
    reached = [min(max(value, low / FARTHEST_TIMES), high * FARTHEST_TIMES) for value in ends]
    low, high = min(low, *reached) / 1.06, max(high, *reached) * 1.06
    return Scale(low, high, start, end, log=True)


def picture(bar: Bar, axis: Axis, scale: Scale) -> Markup:
    """One row."""
    middle = HEIGHT / 2
    x = scale(bar.bounds.value)
    sign = bar.colour or SIGNS.get(bar.verdict, "none")
    grid = [line(scale(tick), 0, scale(tick), HEIGHT, "grid") for tick in _ticks(axis, scale)]
    parts = [*grid, line(scale(NONE[axis]), 0, scale(NONE[axis]), HEIGHT, "zero")]
    if bar.limit is not None and isfinite(bar.limit):
        parts.append(line(scale(bar.limit), 0, scale(bar.limit), HEIGHT, "limit"))
    open_ended = not (isfinite(bar.bounds.low) or isfinite(bar.bounds.high))
    whiskers = [] if bar.bounds.exact or open_ended else _whiskers(bar.bounds, scale, middle, sign)
    hollow = " hollow" if bar.verdict in ("same", "undecided") else ""
    dot = mark(1 if bar.bounds.exact else 0, x, middle, 4.6, f"dot {sign}{hollow}")
    target = element("rect", x=0, y=0, width=WIDTH, height=HEIGHT, class_="target")
    return drawing(WIDTH, HEIGHT, bar.says, group(target, *parts, *whiskers, dot, says=bar.says), class_="interval")


def _whiskers(bounds: Bounds, scale: Scale, y: float, sign: str) -> list[Markup]:
    left, right = scale(bounds.low), scale(bounds.high)
    parts = [line(left, y, right, y, f"whisker {sign}")]
    for value, x, outward in ((bounds.low, left, -1), (bounds.high, right, 1)):
        if scale.holds(value):
            parts.append(line(x, y - 5, x, y + 5, f"whisker {sign}"))
        else:
            d = f"M{x:.1f} {y - 5:.1f}L{x + 6 * outward:.1f} {y:.1f}L{x:.1f} {y + 5:.1f}Z"
            parts.append(element("path", d=d, class_=f"arrow {sign}"))
    return parts


def axis_picture(axis: Axis, scale: Scale) -> Markup:
    """Values above the rows."""
    parts = [text(scale(tick), AXIS_HEIGHT - 6, label(axis, tick), anchor="middle") for tick in _ticks(axis, scale)]
    return drawing(WIDTH, AXIS_HEIGHT, "axis: " + CAPTIONS[axis], *parts, class_="interval axis")


CAPTIONS = {
    "times": "times as good as the original; right of 1× is better",
    "points": "points of the score; right of 0 is better",
    "percent": "percent of the original's value; right of 0 is better",
}


def _ticks(axis: Axis, scale: Scale) -> list[float]:
    if axis != "times":
        return ticks(scale, 5)
    marks: list[float] = []
    for ladder in LADDERS:
        marks = [value for value in ladder if scale.holds(value)]
        places = [scale(value) for value in marks]
        if all(right - left >= CLOSEST for left, right in pairwise(places)):
            break
    return marks


def label(axis: Axis, value: float) -> str:
    """A value of an axis in words."""
    if axis == "times":
        return f"{value:g}×" if value >= 0.6 else f"1/{1 / value:g}×"
    sign = "" if value == 0 else "+" if value > 0 else "−"
    return f"{sign}{abs(value):g}{'%' if axis == 'percent' else ''}"
