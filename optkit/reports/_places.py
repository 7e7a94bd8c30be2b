"""The differences of a report by where they were measured, in the order of rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.reports._words import SECTIONS, rank
from optkit.samples import kind_of

if TYPE_CHECKING:
    from optkit.compare import Comparison, Delta
    from optkit.report import Report

OTHERWISE = 1.1
"""Times as well that one model is compressed as the other, from which on it is worth a row."""


@dataclass(frozen=True)
class Place:
    """A device, a batch size and a number of threads."""

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
    here = [
        delta
        for delta in comparison.deltas
        if (delta.device, delta.batch) == (place.device, place.batch) and delta.threads in (None, place.threads)
    ]
    found = {delta.metric: delta for delta in sorted(here, key=lambda delta: rank(delta.metric))}
    return {metric: delta for metric, delta in found.items() if _says_something(delta, found, place)}


def _says_something(delta: "Delta", beside: "dict[str, Delta]", place: Place) -> bool:
    """Not on one thread, where CPU time is the latency again; nor where both models are compressed as well as each other."""
    if delta.metric == "cpu_time":
        return place.threads != 1
    if delta.metric == "compressed_size" and "size" in beside:
        size = beside["size"]
        shares = [packed / max(whole, 1.0) for packed, whole in ((delta.before, size.before), (delta.after, size.after))]
        return max(shares) > min(shares) * OTHERWISE
    return True


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
