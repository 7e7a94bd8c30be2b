"""A report as JSON: `deltas` in a flat list for scripts, and everything else that was measured, compared and judged."""

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

from optkit.records import plain

if TYPE_CHECKING:
    from optkit.report import Report


def render(report: "Report") -> str:
    """`{"deltas": [...], "slices": [...], ...report}`, indented; numbers that JSON has no word for are null in the first two.

    Each delta has `model` (the one after), `metric`, `device`, `batch`, `unit`, `better`, `before`, `after`, `gain`, `low`, `high`
    (relative to before, positive is better), `verdict`, `method`, `n` and, of scores, `p`. A slice is a delta with `by`, `value`,
    `examples` and `corrected`. The whole can be read back as a report.
    """
    from optkit.records import write_record

    deltas = [{"model": each.after, **plain(delta)} for each in report.comparisons for delta in each.deltas]
    slices = [
        {
            "model": each.after,
            "by": part.by,
            "value": part.value,
            "examples": part.examples,
            "corrected": part.corrected,
            **plain(part.delta),
        }
        for each in report.comparisons
        for part in each.slices
    ]
    whole = {"deltas": _finite(deltas), **({"slices": _finite(slices)} if slices else {}), **json.loads(write_record(report))}
    return _indented(whole) + "\n"


def _finite(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: _number(value) for key, value in row.items()} for row in rows]


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def _indented(value: Any, indent: str = "") -> str:
    """JSON with a line for each value, but lists of plain values on one line: there are thousands of them."""
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        lines = [f"{deeper}{json.dumps(key)}: {_indented(each, deeper)}" for key, each in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(each, (dict, list)) for each in value):
        return "[\n" + ",\n".join(deeper + _indented(each, deeper) for each in value) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
