"""From values to places in a picture, and which values to write beside an axis."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, isfinite, log, log10


@dataclass(frozen=True)
class Scale:
    """Values `low` to `high` lie from `start` to `end`; what is beyond is put at the edge."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        held = min(max(value, self.low), self.high)
        share = self._along(held)
        return self.start + share * (self.end - self.start)

    def _along(self, value: float) -> float:
        if self.log:
            return log(value / self.low) / log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def linear(values: Iterable[float], start: float, end: float, margin: float = 0.06) -> Scale:
    """Around all finite values, with some room."""
    low, high = _ends(values)
    room = (high - low) * margin or abs(high) * 0.05 or 1.0
    return Scale(low - room, high + room, start, end)


def logarithmic(values: Iterable[float], start: float, end: float, margin: float = 0.06) -> Scale:
    """The same for values above 0 whose ratios matter."""
    low, high = _ends(value for value in values if value > 0)
    room = max((high / low) ** margin, 1.02)
    return Scale(low / room, high * room, start, end, log=True)


def ticks(scale: Scale, most: int = 5) -> list[float]:
    """Round values within a scale, so many at most."""
    return _log_ticks(scale, most) if scale.log else _linear_ticks(scale, most)


def tick_label(shown: str) -> str:
    """A round value without the zeros that show precision elsewhere: `50.0 µs` → `50 µs`."""
    return re.sub(r"\.(?=\D|$)", "", re.sub(r"(\.\d*?)0+(?=\D|$)", r"\1", shown))


def _ends(values: Iterable[float]) -> tuple[float, float]:
    known = [value for value in values if isfinite(value)] or [1.0]
    return min(known), max(known)


def _linear_ticks(scale: Scale, most: int) -> list[float]:
    rough = (scale.high - scale.low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(power * size for size in (1, 2, 5, 10) if power * size >= rough)
    first = ceil(scale.low / step)
    return [float(f"{i * step:.12g}") for i in range(first, floor(scale.high / step) + 1)]


def _log_ticks(scale: Scale, most: int) -> list[float]:
    powers = range(floor(log10(scale.low)), ceil(log10(scale.high)) + 1)
    for sizes in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = [size * 10.0**power for power in powers for size in sizes if scale.holds(size * 10.0**power)]
        if 2 <= len(found) <= most:
            return found
    if len(found) > most:
        return found[:: -(-len(found) // most)]
    return _linear_ticks(scale, most)
