"""A report for the terminal: tables of 80 columns or what there is, which read the same without colour."""

import textwrap
from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from optkit.reports import _layers as _layers_words
from optkit.reports import _providers as _providers_words
from optkit.reports._places import Place, basis, places_of, rows_of, sections
from optkit.reports._slices import SliceTable, change, mark, slice_tables
from optkit.reports._warning import warning
from optkit.reports._words import after_of, before_of, heading, machine_line, name_of, rank, sentence, short, verdict_sentence, warnings_of

if TYPE_CHECKING:
    from optkit.compare import Comparison, Delta
    from optkit.gate import Verdict
    from optkit.layers import LayerComparison
    from optkit.report import Report

STYLES = {"better": "green", "worse": "red", "passed": "green", "failed": "bold red", "undecided": "bold yellow"}
NARROWEST_COLUMN = 24
"""Of a model, where several stand beside each other."""
LEGEND = (
    "signal to noise in dB, more is better: with all layers before it (so far), of\n"
    "the layer alone, and at the outputs when only this layer is changed (where they\n"
    "hold probabilities: of the scores that these are made of)"
)
BAR = 8
OTHER_COLUMNS = BAR + 33
"""What stands beside the name of a layer."""
FIRST_COLUMNS = 30
"""What names and the values before take there."""


def render(report: "Report", width: int = 80, colour: bool = False) -> str:
    """The whole report: differences, verdict, warnings, and what it all rests on."""
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False, emoji=False, legacy_windows=False)
    for part in _parts(report, width):
        console.print(part, soft_wrap=isinstance(part, Text) and part.no_wrap is True)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _parts(report: "Report", width: int) -> list[RenderableType]:
    parts: list[RenderableType] = []
    beside = 1 < len(report.comparisons) <= (width - FIRST_COLUMNS) // NARROWEST_COLUMN
    for place in places_of(report):
        groups = [report.comparisons] if beside else [(each,) for each in report.comparisons]
        for group in groups:
            title = f"{group[0].before} → {', '.join(each.after for each in group)}"
            parts += [Text(title, style="bold"), Text(str(place), style="dim"), _table(group, place), Text("")]
    for comparison in report.comparisons:
        for sliced in slice_tables(comparison, len(report.comparisons) > 1):
            parts += _slices(sliced)
    for found in report.layers:
        parts += _layers(found, width)
    parts += _providers(report)
    if report.verdict is not None:
        parts += [_checks(report.verdict), Text(verdict_sentence(report.verdict), style=STYLES[report.verdict.outcome]), Text("")]
    warnings = warnings_of(report)
    parts += [warning(whats, hint) for hint, whats in warnings.items()]
    parts += [Text("")] if warnings else []
    return [*parts, *_foot(report)]


def _table(comparisons: "tuple[Comparison, ...]", place: Place) -> Table:
    rows = [rows_of(each, place) for each in comparisons]
    alone = len(comparisons) == 1
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("before", justify="right", no_wrap=True)
    if alone:
        table.add_column("after", justify="right", no_wrap=True)
        table.add_column("difference (95 % interval)")
    for each in () if alone else comparisons:
        table.add_column(Text(heading(each.after)), overflow="fold")
    metrics = sorted({metric for row in rows for metric in row}, key=rank)
    for section, here in sections(metrics):
        table.add_row(Text(section, style="dim"))
        for metric in here:
            first = next(row[metric] for row in rows if metric in row)
            cells = [_difference(row.get(metric)) for row in rows] if not alone else [Text(after_of(first)), _sentence(first)]
            table.add_row(f"  {name_of(metric)}", before_of(first), *cells)
    return table


def _sentence(delta: "Delta") -> Text:
    return Text(sentence(delta), style=_style(delta))


def _difference(delta: "Delta | None") -> Text:
    if delta is None:
        return Text("not measured", style="dim")
    return Text.assemble(after_of(delta), "\n", (short(delta), _style(delta)))


def _style(delta: "Delta") -> str:
    """Colour only for what is better or worse; being less than identical to the original is neither."""
    judged = delta.verdict in ("better", "worse") and delta.metric not in ("agreement", "cosine", "sqnr")
    return STYLES[delta.verdict] if judged else ""


def _slices(found: SliceTable) -> list[RenderableType]:
    says = [Text(line, style="dim") for line in found.says]
    if not found.rows:
        return [Text(found.title, style="bold"), *says, Text("")]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    table.add_column(found.by, overflow="fold", max_width=24)
    for name in ("examples", "before", "after"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(f"{found.unit} (95 % interval)", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in found.rows:
        delta = row.delta
        cells = (f"{row.examples:,}", before_of(delta), after_of(delta), change(delta), Text(mark(delta), style=_style(delta)))
        table.add_row(Text(row.value), *cells)
    return [Text(found.title, style="bold"), table, *says, Text("")]


def _providers(report: "Report") -> list[RenderableType]:
    if not report.audits:
        return []
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for i, name in enumerate(_providers_words.HEAD):
        table.add_column(name, justify="right" if i > 2 else "left", no_wrap=i > 0, overflow="fold")
    for row in _providers_words.rows_of(report):
        table.add_row(*map(Text, row.cells))
    says = [Text(line, style="dim") for line in _providers_words.sentences(report)]
    return [Text(_providers_words.TITLE, style="bold"), table, *says, Text("")]


def _checks(verdict: "Verdict") -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for check in verdict.checks:
        table.add_row(Text(check.outcome.upper(), style=STYLES[check.outcome]), check.limit, check.reason)
    return table


def _layers(found: "LayerComparison", width: int) -> list[RenderableType]:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    table.add_column("layer", no_wrap=True, min_width=width - OTHER_COLUMNS, max_width=width - OTHER_COLUMNS)
    table.add_column("so far", justify="right", no_wrap=True, min_width=6)
    table.add_column("", no_wrap=True, min_width=BAR + 4)
    table.add_column("alone", justify="right", no_wrap=True, min_width=6)
    table.add_column("outputs", justify="right", no_wrap=True)
    for row in _layers_words.rows_of(found):
        if isinstance(row, _layers_words.Gap):
            table.add_row(Text(str(row), style="dim"))
            continue
        name = Text(_layers_words.shortened(_layers_words.name_of(row), width - OTHER_COLUMNS))
        style = STYLES["worse"] if row.sqnr < _layers_words.BAD else ""
        at_outputs = "" if row.effect is None else _layers_words.number(row.effect)
        bar = Text(_layers_words.bar(row.sqnr, BAR), style=style)
        table.add_row(name, _layers_words.number(row.sqnr), bar, _layers_words.number(row.own), at_outputs)
    title = Text(f"{found.before} → {found.after}, layer by layer", style="bold")
    legend = Text(LEGEND, style="dim")
    says = [Text(textwrap.fill(line, width, subsequent_indent=" " * 8 * line.startswith(" "))) for line in _layers_words.sentences(found)]
    what, *commands = _layers_words.advice(found) or [""]
    hint = [Text.assemble(("hint: ", "dim"), what), *(Text(line, no_wrap=True) for line in commands)] if what else []
    return [title, legend, table, Text(""), *says, *hint, Text("")]


def _foot(report: "Report") -> list[RenderableType]:
    machine = report.measurements[0].machine if report.measurements else None
    lines = [basis(report), *report.notes[1:]]
    if machine is not None:
        lines.append(machine_line(machine, [each.device for each in report.measurements]))
    return [Text(line, style="dim") for line in lines]
