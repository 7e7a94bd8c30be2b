"""The record a command leaves: everything measured, compared and judged, as saved in report.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optkit.compare import Comparison
from optkit.errors import UsageError
from optkit.gate import Verdict
from optkit.inspection import Profile
from optkit.inspection.audit import ProviderAudit
from optkit.layers import LayerComparison
from optkit.measure import Measurement
from optkit.records import read_record

SCHEMA = 1


@dataclass(frozen=True)
class DataUsed:
    """The examples that a report rests on: scores can be paired with those of another report only when they are the same."""

    source: str
    """What the user called them."""
    digest: str
    """sha256, as `Examples.digest`."""
    examples: int


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
    layers: tuple[LayerComparison, ...] = ()
    """Where the models part, one for each model after the first, if it was asked for."""
    data: DataUsed | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """Where the time of each model goes, by its name, asked for with the layers."""

    audits: tuple[ProviderAudit, ...] = ()
    """Where nodes run, for each model on each device that is not the CPU."""

    def _repr_html_(self) -> str:
        """As notebooks show it."""
        from optkit.reports.html import render_notebook

        return render_notebook(self)


def save_report(report: Report, path: Path) -> None:
    """Write report.json, as `reports.json` renders it. The folder exists; a file that is there is replaced."""
    from optkit.reports.json import render

    path.write_text(render(report), encoding="utf-8")


def load_report(path: Path) -> Report:
    """Read what `save_report` wrote. Raises UsageError when there is no such file, it is no report, or it is of another schema."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError("there is no such file", where=str(path), hint="optkit compare --report FILE writes one") from None
    except UnicodeDecodeError:
        raise _no_report(path) from None
    return parse_report(text, path)


def parse_report(text: str, path: Path) -> Report:
    """A report from JSON text; `path` is for messages. Raises UsageError."""
    from pydantic import ValidationError

    schema = _schema_of(text, path)
    if schema != SCHEMA:
        newer = "it was written by a newer optkit: update" if schema > SCHEMA else "measure again to write a new one"
        raise UsageError(f"this report has schema {schema}, and this optkit reads schema {SCHEMA}", where=str(path), hint=newer)
    try:
        return read_record(Report, text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"the report is damaged at {place}: {first['msg']}", where=str(path), hint="measure again") from error


def _schema_of(text: str, path: Path) -> int:
    try:
        found: Any = json.loads(text)
    except ValueError:
        raise _no_report(path) from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if not isinstance(schema, int) or "comparisons" not in found:
        raise _no_report(path)
    return schema


def _no_report(path: Path) -> UsageError:
    return UsageError("this is no report of optkit", where=str(path), hint="optkit compare --report FILE writes one")
