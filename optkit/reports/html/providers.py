"""Where nodes run: a table for devices that are not the CPU."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optkit.reports import _providers
from optkit.reports._providers import HEAD, Row

if TYPE_CHECKING:
    from optkit.report import Report


@dataclass(frozen=True)
class Audits:
    """All providers of all models, and what to know about them."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]
    says: tuple[str, ...]


def view(report: "Report") -> Audits | None:
    """None where all ran on the CPU."""
    if not report.audits:
        return None
    return Audits(HEAD, tuple(_providers.rows_of(report)), tuple(_providers.sentences(report)))
