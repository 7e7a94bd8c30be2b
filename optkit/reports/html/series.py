"""Which colour and shape each model of a report has, the same in every picture of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.reports.html.palette import SERIES

if TYPE_CHECKING:
    from optkit.measure import Measurement
    from optkit.report import Report
    from optkit.reports._places import Place


@dataclass(frozen=True)
class Series:
    """A model in pictures."""

    name: str
    number: int

    @property
    def colour(self) -> str:
        """Class of its marks."""
        return f"s{self.number if self.number < SERIES else 1 + (self.number - 1) % (SERIES - 1)}"


def series_of(report: "Report") -> dict[str, Series]:
    """By name, the original first."""
    compared = [name for each in report.comparisons for name in (each.before, each.after)]
    names = dict.fromkeys([*compared[:1], *(each.name for each in report.measurements), *compared])
    return {name: Series(name, i) for i, name in enumerate(names)}


def measured_at(report: "Report", place: "Place") -> "list[Measurement]":
    """What was measured of each model at a place, what others are compared with first."""
    here = [each for each in report.measurements if (each.device, each.batch, each.threads) == (place.device, place.batch, place.threads)]
    series = series_of(report)
    return sorted(here, key=lambda each: series[each.name].number)
