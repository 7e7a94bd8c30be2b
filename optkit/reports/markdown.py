"""A report as a comment on a pull request: GitHub's Markdown."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from optkit.reports import _providers as _providers_words
from optkit.reports._layers import BAD, Gap, advice, bar, number, sentences
from optkit.reports._layers import name_of as layer_name
from optkit.reports._layers import rows_of as rows_of_layers
from optkit.reports._places import Place, basis, places_of, rows_of
from optkit.reports._slices import SliceTable, change, mark, slice_tables
from optkit.reports._words import after_of, before_of, machine_line, name_of, sentence, verdict_sentence, warnings_of

if TYPE_CHECKING:
    from optkit.compare import Comparison
    from optkit.layers import LayerComparison
    from optkit.report import Report


EMPHASIS = re.compile(r"[*`~\[]|(?<![^\W_])_|_(?![^\W_])")
"""What makes text bold, code, struck out or a link; an underscore only where it is not inside a word."""


def render(report: "Report") -> str:
    """Verdict first, then a table for each model, device and batch size, then what to mind."""
    lines = [f"### {_safe(report.title)}", ""]
    if report.verdict is not None:
        lines += [f"**{verdict_sentence(report.verdict)}**", "", "| limit | | measured |", "|---|---|---|"]
        lines += [f"| {_code(check.limit)} | **{check.outcome}** | {_safe(check.reason)} |" for check in report.verdict.checks]
        lines.append("")
    for place in places_of(report):
        for comparison in report.comparisons:
            lines += _table(comparison, place)
    for comparison in report.comparisons:
        for sliced in slice_tables(comparison, len(report.comparisons) > 1):
            lines += _slices(sliced)
    for found in report.layers:
        lines += _layers(found)
    lines += _providers(report)
    for hint, whats in warnings_of(report).items():
        lines += [*(f"> **Warning:** {_safe(what)}  " for what in whats), f"> Hint: {_safe(hint)}\n"]
    lines += [f"<sub>{_safe(line)}</sub>  " for line in _foot(report)]
    return "\n".join(lines).rstrip() + "\n"


def _table(comparison: "Comparison", place: Place) -> list[str]:
    rows = rows_of(comparison, place)
    if not rows:
        return []
    head = [f"{_code(comparison.before)} → {_code(comparison.after)} on {_safe(str(place))}", ""]
    head += ["| | before | after | difference (95 % interval) |", "|---|---:|---:|---|"]
    body = [f"| {_safe(name_of(m))} | {before_of(d)} | {after_of(d)} | {_safe(sentence(d))} |" for m, d in rows.items()]
    return [*head, *body, ""]


def _slices(found: SliceTable) -> list[str]:
    if not found.rows:
        return [f"{_safe(found.title)}: {_safe(found.says[0])}", ""]
    head = [_safe(found.title), "", f"| {_safe(found.by)} | examples | before | after | {found.unit} (95 % interval) | |"]
    head.append("|---|---:|---:|---:|---|---|")
    body = []
    for row in found.rows:
        delta = row.delta
        bold = f"**{mark(delta)}**" if mark(delta) else ""
        cells = (_code(row.value), f"{row.examples:,}", before_of(delta), after_of(delta), change(delta), bold)
        body.append(f"| {' | '.join(cells)} |")
    return [*head, *body, "", *(f"{_safe(line)}  " for line in found.says), ""]


def _layers(found: "LayerComparison") -> list[str]:
    head = [f"{_code(found.before)} → {_code(found.after)}, layer by layer: signal to noise in dB", ""]
    head += ["| layer | operator | with all before it | | alone | at the outputs |", "|---|---|---:|---|---:|---:|"]
    body = []
    for row in rows_of_layers(found):
        if isinstance(row, Gap):
            body.append(f"| {row} | | | | | |")
            continue
        effect = "" if row.effect is None else number(row.effect)
        bold = f"**{number(row.sqnr)}**" if row.sqnr < BAD else number(row.sqnr)
        body.append(f"| {_code(layer_name(row))} | {_safe(row.operator)} | {bold} | {bar(row.sqnr, 12)} | {number(row.own)} | {effect} |")
    says = [f"{'  - ' if line.startswith('  ') else '- '}{_safe(line.strip())}" for line in sentences(found)]
    what, *commands = advice(found) or [""]
    block = [f"> Hint: {_safe(what)}", *(["", "```", *(line.removeprefix("  ") for line in commands), "```"] if commands else [])]
    return [*head, *body, "", *says, "", *([*block, ""] if what else [])]


def _providers(report: "Report") -> list[str]:
    if not report.audits:
        return []
    head = [_providers_words.TITLE, "", f"| {' | '.join(_providers_words.HEAD)} |", "|---|---|---|---:|---:|---:|"]
    body = [f"| {_code(row.model)} | {' | '.join(map(_safe, row.cells[1:]))} |" for row in _providers_words.rows_of(report)]
    return [*head, *body, "", *(f"- {_safe(line)}" for line in _providers_words.sentences(report)), ""]


def _foot(report: "Report") -> Iterator[str]:
    yield basis(report)
    yield from report.notes[1:]
    if report.measurements:
        yield machine_line(report.measurements[0].machine, [each.device for each in report.measurements])


def _safe(text: str) -> str:
    """Names of files and models must not become markup."""
    safe = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    return EMPHASIS.sub(r"\\\g<0>", safe)


def _code(text: str) -> str:
    """As code, in which only what ends it or a cell of a table means something."""
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"
