"""What `optkit bench` measured, as tables: scenarios below each other, models beside each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from optkit.reports._warning import warning
from optkit.reports._words import by_hint, heading, machine_line
from optkit.units import show_bytes, show_count, show_percent, show_seconds

if TYPE_CHECKING:
    from rich.console import Console

    from optkit.bench import Benched, BenchReport
    from optkit.scenarios import Figure

BESIDE = 2
"""Models beside each other whose ranges fit into the same lines."""
NAMES = {
    "queries_per_second": "queries a second",
    "best_batch": "best batch size",
    "throughput": "examples a second, best",
    "real_time_factor": "real-time factor",
    "late": "answered late",
    "cpu_time": "CPU time of an example",
    "cost_per_million": "cost of a million",
}


def draw(console: "Console", report: "BenchReport") -> None:
    """Print the whole report."""
    places = dict.fromkeys((each.scenario, each.device, each.threads) for each in report.results)
    for scenario, device, threads in places:
        here = [each for each in report.results if (each.scenario, each.device, each.threads) == (scenario, device, threads)]
        by = ", by MLPerf LoadGen" if report.loadgen else ""
        console.print(Text(f"{scenario.replace('_', ' ')} on {device}, {threads} thread{'s' * (threads != 1)}{by}", style="bold"))
        if any(each.outcome.figures for each in here):
            console.print(_table(here))
        for each in here:
            for note in each.outcome.notes:
                console.print(Text(f"{each.model}: {note}" if len(here) > 1 else note, style="dim"))
        for seen in report.watched:
            if (seen.scenario, seen.device, seen.threads) == (scenario, device, threads):
                for hint, whats in by_hint(seen.warnings).items():
                    console.print(warning(whats, hint))
        console.print()
    for file in report.files:
        packed = "" if file.compressed is None else f", {show_bytes(file.compressed)} after gzip"
        console.print(Text(f"{file.model}: {show_bytes(file.size)}{packed}"))
    console.print(Text(f"queries from {report.data}; ranges are 95 % intervals", style="dim"))
    console.print(Text(machine_line(report.machine, [each.device for each in report.results]), style="dim"))


def _table(results: Sequence["Benched"]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    table.add_column("", no_wrap=True)
    for each in results:
        table.add_column(Text(heading(each.model)), overflow="fold")
    found = [{figure.name: figure for figure in each.outcome.figures} for each in results]
    for name in dict.fromkeys(name for figures in found for name in figures):
        cells = [shown(figures[name]) if name in figures else "" for figures in found]
        if len(results) > BESIDE:  # ranges below their values: folded wherever a line ends they cannot be read
            cells = [cell.replace(" (", "\n(") for cell in cells]
        table.add_row(f"  {name_of(name)}", *cells)
    return table


def name_of(figure: str) -> str:
    if figure.startswith("latency_p"):
        digits = figure.removeprefix("latency_p")
        return f"latency, p{digits[:2]}{'.' if len(digits) > 2 else ''}{digits[2:]}"
    if figure.startswith("throughput_batch_"):
        return f"examples a second, batch {figure.removeprefix('throughput_batch_')}"
    return NAMES.get(figure, figure.replace("_", " "))


def shown(figure: "Figure") -> str:
    """`1.20 ms (1.18 to 1.24)`."""
    value = _value(figure, figure.value)
    if figure.low is None or figure.high is None or figure.low == figure.high:
        return value
    low, high = (_value(figure, bound) for bound in (figure.low, figure.high))
    unit = value.rpartition(" ")[2]
    if " " in value and low.endswith(f" {unit}") and high.endswith(f" {unit}"):
        low, high = low.removesuffix(f" {unit}"), high.removesuffix(f" {unit}")
    return f"{value} ({low} to {high})"


def _value(figure: "Figure", value: float) -> str:
    match figure.unit:
        case "s":
            return show_seconds(value)
        case "1/s":
            return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        case "ratio":
            return show_percent(value)
        case "$":
            return f"{value:.3g}"
        case _ if figure.name == "best_batch":
            return show_count(value)
        case _:
            return f"{value:.3g}"
