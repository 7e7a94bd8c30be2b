"""What `optkit prune` did, as a few lines of text."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optkit.artifact import Artifact
from optkit.commands._made import lines
from optkit.formats import model_size
from optkit.units import show_bytes


def pruned_text(made: Artifact, original: Path, data: str | None) -> str:
    """Size, parameters, multiplications and time, before and after: each says something else."""
    notes = made.lineage[-1].notes
    rows = [("size", _shrunk((model_size(original), model_size(made.path)), show_bytes))]
    rows += [(word, _shrunk(notes[name], _count)) for word, name in (("weights", "parameters"), ("MACs", "macs")) if name in notes]
    if "measured_compressed" in notes:
        rows.append(("gzip", _shrunk(notes["measured_compressed"], show_bytes)))
    if "sparsity" in notes:
        rows.append(("zeros", "{:.1%} → {:.1%} of the weights".format(*notes["sparsity"])))
    if ratio := notes.get("measured_ratio"):
        rows.append(("time", _time(ratio, notes)))
    rows += [("kept", f"{_layers(len(notes['left whole']))} whole: {_some(notes['left whole'])}")] if notes.get("left whole") else []
    rows += [("note", str(remark)) for remark in notes.get("remarks", ())]
    factory = " --factory NAME" if made.format == "torch" else ""
    rows.append(
        ("next", f"optkit compare {shlex.quote(str(original))} {shlex.quote(str(made.path))} --data {data or 'EVALUATION.npz'}{factory}")
    )
    return lines(made.path, rows)


def _shrunk(numbers: Sequence[int], show: Callable[[int], str]) -> str:
    before, after = numbers
    return f"{show(before)} → {show(after)}, {after / before:.1%} is left" if before else show(after)


def _layers(number: int) -> str:
    return f"{number} layer{'s' if number > 1 else ''}"


def _count(number: int) -> str:
    return f"{number:,}"


def _time(ratio: Sequence[float], notes: Mapping[str, Any]) -> str:
    value, low, high = ratio
    place = f", in {notes['measured_in']}" if "measured_in" in notes else ""
    interval = f"({low:.2f} to {high:.2f} of the time{place})"
    if high < 1:
        return f"{1 / value:.2f}× as fast {interval}"
    return f"{value:.2f}× slower {interval}" if low > 1 else f"too close to tell {interval}"


def _some(whole: Mapping[str, str]) -> str:
    first = [f"{name} ({why})" for name, why in list(whole.items())[:3]]
    return "; ".join(first) + ("; …" if len(whole) > len(first) else "")
