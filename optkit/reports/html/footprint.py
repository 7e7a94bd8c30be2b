"""What models take: bytes on disk and in memory, as bars from 0."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.reports._places import Place, places_of, rows_of
from optkit.reports._words import after_of, before_of, name_of, sentence
from optkit.reports.html.bounds import after_with
from optkit.reports.html.differences import told
from optkit.reports.html.series import Series, series_of

if TYPE_CHECKING:
    from optkit.compare import Delta
    from optkit.report import Report


@dataclass(frozen=True)
class Taken:
    """A model's bar, 0 to 100, with the ends of its interval on the same scale."""

    series: Series
    value: str
    words: str
    width: float
    low: float | None
    high: float | None
    says: str


@dataclass(frozen=True)
class Bars:
    """One meter at one place."""

    title: str
    place: str
    rows: tuple[Taken, ...]


def view(report: "Report") -> list[Bars]:
    """Everything measured in bytes."""
    found = []
    for place in places_of(report):
        rows = {each.after: rows_of(each, place) for each in report.comparisons}
        metrics = dict.fromkeys(delta.metric for row in rows.values() for delta in row.values() if delta.unit == "bytes")
        found += [_bars(report, place, m, {name: row[m] for name, row in rows.items() if m in row}) for m in metrics]
    return found


def _bars(report: "Report", place: Place, metric: str, deltas: "dict[str, Delta]") -> Bars:
    series = series_of(report)
    first = next(iter(deltas.values()))
    bounds = {name: after_with(delta) for name, delta in deltas.items()}
    most = max(first.before, *(delta.after for delta in deltas.values())) or 1.0
    original = report.comparisons[0].before
    said = f"{name_of(metric)} of {original}: {before_of(first)}"
    rows = [Taken(series[original], before_of(first), "before", 100 * first.before / most, None, None, said)]
    for name, delta in deltas.items():
        low, high = (None, None) if bounds[name].exact else (_share(bounds[name].low, most), _share(bounds[name].high, most))
        rows.append(Taken(series[name], after_of(delta), sentence(delta), _share(delta.after, most), low, high, told(series[name], delta)))
    return Bars(name_of(metric), "" if metric in ("size", "compressed_size") else str(place), tuple(rows))


def _share(value: float, most: float) -> float:
    return 100 * min(max(value / most, 0.0), 1.0) if value == value else 0.0
