"""Two measurements to differences with intervals. Pure: the same measurements give the same comparison."""

from dataclasses import dataclass
from typing import Literal

from optkit.samples import Better

Says = Literal["better", "worse", "same", "undecided"]
"""`same`: a difference of consequence is excluded (or both are equal by count); `undecided`: the interval spans both directions."""


@dataclass(frozen=True)
class Delta:
    """One metric, before against after. `gain`, `low` and `high` are relative to before; positive is better."""

    metric: str
    device: str
    batch: int
    unit: str
    better: Better
    before: float
    after: float
    gain: float
    low: float
    high: float
    verdict: Says
    method: str
    n: int
    """Independent units that the interval rests on (examples, groups or rounds); 1 where the value is exact."""


@dataclass(frozen=True)
class Warned:
    """Something that makes a number less trustworthy, and what to do about it."""

    what: str
    hint: str


@dataclass(frozen=True)
class Comparison:
    """All differences between two models."""

    before: str
    after: str
    deltas: tuple[Delta, ...]
    warnings: tuple[Warned, ...] = ()
