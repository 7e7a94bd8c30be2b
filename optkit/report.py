"""The record a command leaves: everything measured, compared and judged, as saved in report.json."""

from dataclasses import dataclass

from optkit.compare import Comparison
from optkit.gate import Verdict
from optkit.measure import Measurement

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """What `run`, `compare` and `gate` return, print and save."""

    schema: int
    title: str
    created: str
    """UTC, ISO 8601."""
    measurements: tuple[Measurement, ...]
    comparisons: tuple[Comparison, ...]
    """One for each model after the first."""
    verdict: Verdict | None = None
    notes: tuple[str, ...] = ()
    """Sentences for the reader: what passes chose, what they left alone and why."""
