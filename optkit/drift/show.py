"""Drift for the terminal: 80 columns, the worst tensors first."""

import textwrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from optkit.drift import Drift, TensorDrift

ROWS = 12
WIDTH = 80
NAME = 18
EVERYWHERE = "_output_0"
NEGLIGIBLE = 1e-4
"""Beside the other end of a range."""
LEGEND = (
    "range: what the integers hold; seen: least and greatest value for these examples; clipped: share of the values beyond the range; "
    "error: of quantizing, in dB above the best range for these examples; then: at calibration"
)


def draw(found: Drift, console: Console) -> None:
    """The worst tensors, then the verdict and what to do."""
    calibrated = f", calibrated on {found.calibrated_on:,}" if found.calibrated_on else ""
    console.print(Text(f"{found.model}: {found.examples:,} examples of {found.data}{calibrated}"), soft_wrap=True)
    if found.tensors:
        console.print(_table(found.tensors[:ROWS]))
        if (hidden := len(found.tensors) - ROWS) > 0:
            wrong = sum(row.verdict == "recalibrate" for row in found.tensors[ROWS:])
            console.print(Text(f"{hidden} more: {f'{wrong} do not fit' if wrong else 'all fit'}", style="dim"))
        console.print(Text(textwrap.fill(LEGEND, WIDTH), style="dim"))
    fits = found.verdict == "fits"
    console.print()
    console.print(Text(textwrap.fill(f"{'FITS' if fits else 'RECALIBRATE'}: {found.reason}", WIDTH), style="green" if fits else "bold red"))
    if not fits:
        place = found.data.partition("[")[0]
        console.print(Text(f"hint: optkit quantize ORIGINAL.onnx --int8 --data {place}, with examples of both old and new inputs"))


def _table(rows: tuple[TensorDrift, ...]) -> Table:
    known = any(row.loss_then is not None for row in rows)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    table.add_column("tensor", no_wrap=True)
    for name in ("range", "seen", "clipped", "then", "error", "then") if known else ("range", "seen", "clipped", "error"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        style = "red" if row.verdict == "recalibrate" else ""
        clipped, error = [_share(row.clipped)], [Text(f"{row.loss:.1f}", style=style)]
        if known:
            clipped.append("" if row.clipped_then is None else _share(row.clipped_then))
            error.append(Text("" if row.loss_then is None else f"{row.loss_then:.1f}"))
        table.add_row(_short(row.name), _span(row.range), _span(row.seen), *clipped, *error)
    return table


def _short(name: str) -> str:
    """Its end, which tells tensors apart, without what exporters hang on every name."""
    name = name.removesuffix(EVERYWHERE)
    return name if len(name) <= NAME else f"…{name[1 - NAME :]}"


def _span(ends: tuple[float, float]) -> str:
    largest = max(map(abs, ends))
    return " to ".join("0.0" if 0 < abs(end) < NEGLIGIBLE * largest else f"{end:.3g}".replace("-", "−") for end in ends)


def _share(share: float) -> str:
    return "0" if share == 0 else "<0.01%" if share < 1e-4 else f"{share:.0%}" if share >= 0.1 else f"{share * 100:.2g}%"
