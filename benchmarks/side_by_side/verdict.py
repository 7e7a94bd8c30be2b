"""What a comparison with peers comes to: who is beaten, and by how much over all models. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal

from optkit.stats.interval import Interval

TIE = 0.05
"""Share of the time. Less than that is nothing that a user notices, and sessions of one file differ by as much."""
MOST_LOST = 0.01
"""Of a score between 0 and 1: a result that loses more is not usable."""
LEAST_DECIBELS = 18.0
"""Stands in for the score where a model has none."""
BAR = 1.15
"""Our geometric mean speed-up over that of the best single peer."""

Stand = Literal["ahead", "level", "behind"]


@dataclass(frozen=True)
class Result:
    """One way to quantize one model, and what came of it."""

    name: str
    why: str = ""
    """What went wrong, where there is no file, or one that gives no sound answers."""
    ratio: Interval | None = None
    """Time over float32's. Without bounds where it was so slow that only a few runs were timed."""
    score: float | None = None
    lost: Interval | None = None
    """Score of float32 minus its own, on the same examples; positive is a loss."""
    sqnr: Interval | None = None
    """dB, mean over examples."""
    size: float | None = None
    """Over float32's."""
    cpu: float | None = None
    """Seconds to make it, of the whole process."""
    peak: int | None = None
    """Bytes."""
    same_as: str | None = None
    """An earlier result with the same bytes, from which times and scores are taken."""
    elsewhere: str = ""
    """What its answers are on an emulated CPU, where that was asked for."""
    digest: str = ""


@dataclass(frozen=True)
class Duel:
    """A peer's result beside ours, paired by round and by example."""

    peer: str
    time: Interval
    """Its time over ours."""
    quality: Interval
    """Its score minus ours; dB where the model has no score."""

    @property
    def stand(self) -> Stand:
        """`behind`: the peer is both faster and more accurate; `level`: in one of them neither is ahead and in the other it is."""
        faster, slower = self.time.value < 1 - TIE, self.time.value > 1 / (1 - TIE)
        better, worse = self.quality.low > 0, self.quality.high < 0
        if faster and better:
            return "behind"
        return "level" if (faster and not worse) or (better and not slower) else "ahead"


@dataclass(frozen=True)
class Bout:
    """All results on one model."""

    model: str
    metric: str
    """Empty where the model has no score."""
    examples: int
    score: float | None
    """Of float32."""
    latency: float
    """Seconds of float32 at its own batch size."""
    ours: str
    """Name of our result; the other variants of ours are shown and count for nothing."""
    results: tuple[Result, ...]
    duels: tuple[Duel, ...]
    made_with: str
    """Version and commit of optkit."""
    machine: str

    def named(self, name: str) -> Result:
        return next(result for result in self.results if result.name == name)

    @property
    def peers(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if not result.name.startswith("optkit"))


def is_usable(result: Result) -> bool:
    """It loads, is no slower than float32, and keeps the score within a point."""
    if result.why or result.ratio is None or result.ratio.value > 1:
        return False
    if result.lost is not None:
        return result.lost.value <= MOST_LOST + 1e-9
    return result.sqnr is not None and result.sqnr.value >= LEAST_DECIBELS


def speed_up(result: Result | None) -> float:
    """Float32's time over its own; 1 for what is not usable, or was not made: the user keeps float32."""
    return 1 / result.ratio.value if result is not None and result.ratio is not None and is_usable(result) else 1.0


def front(results: Sequence[Result]) -> frozenset[str]:
    """Names of the sound results that no other one beats or equals in both time and quality."""
    scored = any(r.lost is not None for r in results)
    known = [(r.name, r.ratio.value, _quality(r, scored)) for r in results if not r.why and r.ratio is not None and r.same_as is None]

    def is_beaten(time: float, quality: float) -> bool:
        return any(t <= time and q >= quality and (t, q) != (time, quality) for _, t, q in known)

    return frozenset(name for name, time, quality in known if not is_beaten(time, quality))


def _quality(result: Result, scored: bool) -> float:
    """Higher is better; what was too slow to be scored where others were is worth nothing."""
    if result.lost is not None:
        return -result.lost.value
    return float("-inf") if scored or result.sqnr is None else result.sqnr.value


def geometric_mean(values: Sequence[float]) -> float:
    return exp(sum(map(log, values)) / len(values))


def mean_speed_ups(bouts: Sequence[Bout]) -> dict[str, float]:
    """Geometric mean over all models of our default's speed-up, under `optkit`, and of that of every single peer."""
    names = dict.fromkeys(peer.name for bout in bouts for peer in bout.peers)
    results: list[Mapping[str, Result]] = [{r.name: r for r in bout.results} for bout in bouts]
    means = {name: geometric_mean([speed_up(found.get(name)) for found in results]) for name in names}
    return {"optkit": geometric_mean([speed_up(bout.named(bout.ours)) for bout in bouts]), **means}
