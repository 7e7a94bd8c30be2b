"""A model against the one in a stored report, such as that of the main branch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from optkit.compare.stored import Pair, compare_with_stored
from optkit.errors import UsageError
from optkit.gate import Limits, judge
from optkit.report import Report
from optkit.samples import kind_of

if TYPE_CHECKING:
    from optkit.measure import Measurement


def stored_metrics(stored: Report) -> tuple[str, ...]:
    """The scores of accuracy in a report, by the words that name them."""
    names = [samples.metric for found in stored.measurements for samples in found.samples if samples.paired_by == "example"]
    return tuple(name for name in dict.fromkeys(names) if kind_of(name) == "accuracy")


def against(report: Report, stored: Report, limits: Limits | None, seed: int = 0) -> Report:
    """The last model of `report` compared with its predecessor in `stored`, and held against `limits` relative to that.

    The predecessor is the model of the same file name, or else the last one of the report. Where both reports begin with the same
    original, times are compared by their ratios to it. Raises UsageError when `report` has more than an original and one model.
    """
    now = _models(report)
    if len(now) > 2:
        raise UsageError("one model at a time is compared with a baseline", hint="give optkit gate [BEFORE] AFTER --baseline REPORT")
    then = _models(stored)
    model, last = list(now.values())[-1], list(then.values())[-1]
    chosen = next((found for found in reversed(then.values()) if found[0].model.path.name == model[0].model.path.name), last)
    same = _same_original(now, then) and chosen is not next(iter(then.values()))
    originals = (next(iter(then.values())), next(iter(now.values()))) if same else (None, None)
    before = [replace(found, name=f"{found.name} (baseline)") for found in chosen]
    same_data = stored.data is not None and report.data is not None and stored.data.digest == report.data.digest
    found = compare_with_stored(_pairs(before, originals[0]), _pairs(model, originals[1]), same_data, seed)
    told = f"baseline of {stored.created[:10]}: {before[0].model.path.name}, sha256 {before[0].model.digest[:12]}"
    return replace(
        report,
        title=f"{found.before} → {found.after}",
        measurements=(*model, *before),
        comparisons=(found,),
        verdict=None if limits is None else judge((found,), limits),
        notes=(*report.notes[:1], told, *report.notes[1:]),
    )


def _models(report: Report) -> "dict[str, list[Measurement]]":
    found: dict[str, list[Measurement]] = {}
    for each in report.measurements:
        found.setdefault(each.name, []).append(each)
    if not found:
        raise UsageError("the report holds no measurement", hint="optkit compare --report FILE writes one")
    return {name: rows for name, rows in found.items() if not name.endswith(" (baseline)")} or found


def _same_original(now: "dict[str, list[Measurement]]", then: "dict[str, list[Measurement]]") -> bool:
    first, second = (next(iter(each.values()))[0].model.digest for each in (now, then))
    return len(now) == 2 and len(then) >= 2 and first == second


def _pairs(models: "Sequence[Measurement]", originals: "Sequence[Measurement] | None") -> list[Pair]:
    beside = {(each.device, each.batch, each.threads): each for each in originals or ()}
    return [Pair(each, beside.get((each.device, each.batch, each.threads))) for each in models]


def read_baseline(place: str) -> Report:
    """The stored report. Raises UsageError."""
    from optkit.report import load_report

    return load_report(Path(place))
