"""Limits and the verdict on a comparison. Pure; the same code serves `optkit gate` and the `gate:` of a recipe."""

from dataclasses import dataclass
from typing import Literal

from optkit.compare import Delta

Outcome = Literal["passed", "failed", "undecided"]


@dataclass(frozen=True)
class Limits:
    """What a model may cost and must gain; None does not limit. All are ratios relative to the original."""

    max_drop: float | None = None
    """Largest loss of every accuracy metric, relative to the original's score: 0.01 is one percent of it."""
    min_speedup: float | None = None
    """Median time before / after: 1.3 is 1.3 times as fast."""
    max_size: float | None = None
    """Bytes after / before."""
    min_agreement: float | None = None
    """Share of examples on which both models answer alike."""
    strict: bool = False
    """Undecided counts as failed."""


@dataclass(frozen=True)
class Check:
    """One limit held against one difference."""

    limit: str
    """The option that set it, such as `--max-drop 1%`."""
    delta: Delta
    outcome: Outcome
    reason: str
    """A sentence: what was measured, and by how much it is inside or outside the limit."""
    more_needed: int | None = None
    """How many more examples or rounds would decide, when undecided."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of all checks: failed if any failed, else undecided if any is."""

    outcome: Outcome
    checks: tuple[Check, ...]
