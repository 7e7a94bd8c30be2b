"""The differences of a report by where they were measured, in the order of rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.reports._words import SECTIONS, rank
from optkit.samples import kind_of

if TYPE_CHECKING:
    from optkit.compare import Comparison, Delta
    from optkit.report import Report


@dataclass(frozen=True)
class Place:
    """A device and a batch size."""

    device: str
    batch: int
    threads: int

    def __str__(self) -> str:
        threads = {0: "", 1: ", 1 thread"}.get(self.threads, f", {self.threads} threads")
        return f"{self.device}, batch {self.batch}{threads}"


def places_of(report: "Report") -> list[Place]:
    """Where the report's models were measured, in order."""
    return list(dict.fromkeys(Place(each.device, each.batch, each.threads) for each in report.measurements))


def rows_of(comparison: "Comparison", place: Place) -> "dict[str, Delta]":
    """Deltas at a place by metric, in the order in which tables show them."""
    here = [delta for delta in comparison.deltas if (delta.device, delta.batch) == (place.device, place.batch)]
    return {delta.metric: delta for delta in sorted(here, key=lambda delta: rank(delta.metric))}


def sections(metrics: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Accuracy, fidelity and cost with their metrics, where there are any."""
    for section in SECTIONS:
        if here := [metric for metric in metrics if kind_of(metric) == section]:
            yield section, here


def basis(report: "Report") -> str:
    """What the intervals rest on, in one line."""
    found = [delta for comparison in report.comparisons for delta in comparison.deltas]
    rounds = [delta.n for delta in found if delta.metric == "latency_median"]
    notes = list(report.notes[:1])
    if rounds:
        least, most = min(rounds), max(rounds)
        count = f"{least} to {most}" if least < most else str(most)
        notes.append(f"timed in {count} interleaved {'round' if most == 1 else 'rounds'}")
    return "; ".join(notes)
