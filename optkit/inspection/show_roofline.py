"""A roofline as a person reads it."""

import textwrap

from rich.console import Console
from rich.table import Table
from rich.text import Text

from optkit.inspection.under_roof import Peaks, Placed, Roofline
from optkit.units import show_bytes, show_count, show_seconds, show_share

NAME = 34
WORTH = 1.05
"""Times as fast, from which on a change is worth a command."""
RECORD = (
    "INT8 predictions were off by a factor of 1.05 on average and 1.19 at most, on 22 models with data "
    "and processors of two makes; only optkit quantize measures it"
)
"""As benchmarks/README.md has it."""
UNPUBLISHED = "how far predictions are off was measured on CPUs only; what was tried here, one example at a time, needs none"
ESTIMATED = "≈ estimated: a share, by its work, of the time that several operators take together"
FASTER = "≥ faster than the models that the machine's peak was measured with"
BOUNDS = {"compute": "computing", "memory": "memory", "overhead": "calls"}
LIMITS = {
    "compute": "the model is bound by computing",
    "memory": "the model is bound by memory",
    "overhead": "the model is bound by calls, not by work: fewer operators or batches help, smaller numbers do not",
}


def show_roofline(found: Roofline, device: str, console: Console) -> None:
    """Print the peaks, where the model and its slowest operators stand, and what can be expected."""
    peaks = found.peaks
    sixteen = f", {show_count(peaks.float16)} in float16" if peaks.float16 else ""
    console.print(Text("\nthe machine's peak, through the same runtime", style="bold"))
    eight = f", {show_count(peaks.int8)} in INT8" if peaks.int8 != peaks.float32 else ""
    lines = [f"{show_count(peaks.float32)} MACs a second in float32{eight}{sixteen}"]
    if not eight:
        lines.append(f"ONNX Runtime multiplies no integers on {device}")
    lines.append(f"{show_bytes(peaks.bandwidth)} of memory a second")
    if peaks.call:
        lines.append(f"{show_seconds(peaks.call)} for the call of an operator, {show_seconds(peaks.run)} for an inference besides")
    console.print(Text("\n".join(f"  {line}" for line in lines)))
    reached = f", {show_share(found.reached)} of what is possible is reached" if found.placed else ""
    console.print(Text(textwrap.fill(f"under it: {LIMITS[found.bound]}{reached}", 80)))
    if found.placed:
        console.print()
        console.print(_operators(found))
        shown = [each for each in found.placed if not _is_too_short(each, peaks)]
        notes = {ESTIMATED: any(each.estimated for each in shown), FASTER: any(each.reached >= 1 for each in shown)}
        for note in (note for note, applies in notes.items() if applies):
            console.print(Text(textwrap.fill(note, 80), style="dim"))
    console.print()
    console.print(_predictions(found))
    for each in found.predictions:
        if each.command and each.speedup >= WORTH:  # in one line however long, so that it can be copied
            console.print(Text(f"  {each.command}", style="cyan"), soft_wrap=True)
    console.print(Text(textwrap.fill(RECORD if device == "cpu" else UNPUBLISHED, 80), style="dim"))


def _operators(found: Roofline) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for title, side in (("slowest operators", "left"), ("time", "right"), ("bound by", "left"), ("of its roof", "right")):
        table.add_column(title, justify=side, no_wrap=True)  # type: ignore[arg-type]
    short = [each for each in found.placed if _is_too_short(each, found.peaks)]
    for each in found.placed:
        if each in short:
            continue
        name = each.cost.node if len(each.cost.node) <= NAME else f"…{each.cost.node[1 - NAME :]}"
        seconds, reached = f"{'≈ ' * each.estimated}{show_seconds(each.seconds)}", f"{'≥ ' * (each.reached >= 1)}{show_share(each.reached)}"
        table.add_row(Text(name), seconds, BOUNDS[each.bound], reached)
    if short:
        seconds = show_seconds(sum(each.seconds for each in short))
        table.add_row(Text(f"{len(short)} too short to tell", style="dim"), seconds, BOUNDS["overhead"], "")
    return table


def _is_too_short(placed: Placed, peaks: Peaks) -> bool:
    """What takes less than a call is not known well enough to hold it against a roof."""
    return placed.seconds < peaks.call * placed.cost.times


def _predictions(found: Roofline) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    table.add_column("to be expected", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for each in found.predictions:
        gain = f"{'≤ ' * each.at_most}{each.speedup:.1f}×" if each.speedup >= WORTH else "no faster" if each.speedup > 0.95 else "slower"
        table.add_row(each.change, gain, Text(each.why))
    return table
