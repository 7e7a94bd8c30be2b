"""Ends of a difference's interval on axes that people read: how many times as good, points of a score, the value itself."""

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Literal

from optkit.samples import kind_of

if TYPE_CHECKING:
    from optkit.compare import Delta

Axis = Literal["times", "points", "percent"]
"""`times` as good as before, where 1 is no change; `points` of a share, `percent` of the value before, where 0 is none. Right is better."""


@dataclass(frozen=True)
class Bounds:
    """A value with its interval; the ends are infinite where one measurement says nothing of them, equal where the value is exact."""

    value: float
    low: float
    high: float

    @property
    def exact(self) -> bool:
        return self.low == self.value == self.high


def axis_of(delta: "Delta") -> Axis | None:
    """The axis on which a difference is drawn; None where it cannot be, or where the original's own value means nothing."""
    if delta.metric in ("cosine", "sqnr") or not isfinite(delta.gain):
        return None
    if kind_of(delta.metric) == "cost":
        return "times"
    return "points" if delta.unit == "ratio" else "percent"


def gain_on(axis: Axis, gain: float, delta: "Delta") -> float:
    """A relative gain on an axis."""
    match axis:
        case "times" if delta.better == "higher":
            return max(1 + gain, 0.0)
        case "times":
            return 1 / (1 - gain) if gain < 1 else inf
        case "points":
            return gain * abs(delta.before) * 100
        case _:
            return gain * 100


def bounds_on(axis: Axis, delta: "Delta") -> Bounds:
    """The gain on an axis."""
    return Bounds(*(gain_on(axis, gain, delta) for gain in (delta.gain, delta.low, delta.high)))


def after_with(delta: "Delta", before: float | None = None) -> Bounds:
    """The value after, with what the interval of the gain leaves for it when the original's is `before`."""
    start = delta.before if before is None else before
    sign = 1 if delta.better == "higher" else -1
    value, one, other = (start + sign * gain * abs(start) for gain in (delta.gain, delta.low, delta.high))
    return Bounds(value, min(one, other), max(one, other))
