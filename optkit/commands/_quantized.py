"""What `optkit quantize` did, as a few lines of text."""

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optkit.artifact import Artifact
from optkit.commands._made import WIDTH, lines
from optkit.formats.onnx import model_size
from optkit.units import show_bytes, show_percent

NAME = 46
"""Columns for the name of a variant."""
NO_CONSEQUENCE = 0.01
"""Of the time: as much as two sessions of one file may differ by, as in `optkit.compare`."""

LARGE = 1024
"""Elements of a weight that is worth storing in 8 bits."""
A_REST = 0.1
"""Of the elements in 8 bits: fewer in float show in no size."""


def quantized_text(made: Artifact, original: Path, data: str | None, verbose: bool = False) -> str:
    """The result in lines of at most 80 columns: size, time, fidelity, how, and what to do next."""
    notes = made.lineage[-1].notes
    rows = [("size", _size(made.path, original))]
    if ratio := notes.get("measured_ratio"):
        rows.append(("time", _time(ratio)))
    if batched := notes.get("measured_ratio_in_batches"):
        rows.append(("", f"in batches of {batched[0]} {_time(batched[1:])}"))
    if "measured_sqnr" in notes:
        rows.append(("outputs", _fidelity(notes, _picks(made.path, notes))))
    elif notes.get("sqnr"):
        rows.append(("outputs", f"{min(notes['sqnr'].values()):.1f} dB SQNR, on {notes['checked on']}"))
    if "operators" in notes:
        rows.append(("how", str(notes["how"]) if "how" in notes else _how(notes, notes["operators"], made.path)))
    if safe := notes.get("safe_on"):
        rows.append(("cpu", f"the same answers on {' and '.join(safe)}"))
    rows += [("note", str(remark)) for remark in _remarks(notes, data)]
    rows.append(("next", f"optkit compare {shlex.quote(str(original))} {shlex.quote(str(made.path))} --data EVALUATION.npz"))
    text = lines(made.path, rows)
    return f"{text}\n\n{_trials(notes, model_size(original))}" if verbose and notes.get("measured_trials") else text


def _size(after: Path, before: Path) -> str:
    large, small = model_size(before), model_size(after)
    return f"{show_bytes(large)} → {show_bytes(small)}, {large / small:.2f}× smaller"


def _time(ratio: Sequence[float]) -> str:
    value, low, high = ratio
    interval = f"({low:.2f} to {high:.2f} of the time)"
    if high < 1 - NO_CONSEQUENCE:
        return f"{1 / value:.2f}× as fast {interval}"
    if low > 1 + NO_CONSEQUENCE:
        return f"{value:.2f}× as slow {interval}"
    return f"the same speed {interval}" if low >= 0.9 and high <= 1.1 else f"too close to tell {interval}"


def _fidelity(notes: Mapping[str, Any], picks: bool) -> str:
    held = notes.get("judged_on", "examples")
    if "measured_drop" in notes:
        lost = notes["measured_drop"]
        held += f"; {show_percent(lost)} of the score lost" if lost > 0 else "; no loss of score"
    unchanged = notes.get("measured_agreement")
    shown = unchanged is not None and picks
    whole = f", all of them in {notes['measured_whole']:.1%} of examples" if notes.get("measured_whole") is not None else ""
    answers = f", {unchanged:.1%} of answers unchanged{whole}" if shown else ""
    if shown and notes.get("measured_cost") is not None:
        answers += f" ({show_percent(notes['measured_cost'])} lost by the model's own confidence)"
    if notes.get("measured_high_scores") is not None:
        answers += f", {notes['measured_high_scores']:.1%} of high scores agree"
    return f"{notes['measured_sqnr']:.1f} dB SQNR of what varies{answers}, on {held}"


def _picks(path: Path, notes: Mapping[str, Any]) -> bool:
    """Whether the first output of numbers looks like scores of classes: [examples, classes], or [examples, places, classes] with a
    confidence; in maps, boxes and features no largest element is an answer. Unknown shapes count as scores."""
    from onnx import TensorProto

    from optkit.formats.onnx import load_proto

    if not path.exists():
        return True
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
    for port in load_proto(path).graph.output:
        kind = port.type.tensor_type
        if kind.elem_type in floats and kind.HasField("shape"):
            rank = len(kind.shape.dim)
            return rank <= 2 or (rank == 3 and notes.get("measured_cost") is not None)
    return True


def _how(notes: Mapping[str, Any], operators: Mapping[str, Mapping[str, int]], path: Path) -> str:
    integer = [f"{n} {op} ({way})" for op, ways in operators.items() for way, n in ways.items() if way != "float"]
    floats = [f"{n} {op}" for op, ways in operators.items() for way, n in ways.items() if way == "float"]
    if not integer:
        return f"{_stored(path)} stored as 8-bit integers; everything computes in float32{'' if notes.get('widened') else ', as before'}"
    left = f"; in float32: {', '.join(floats)}" if floats else ""
    return f"{notes['method']}: {', '.join(integer)} compute in INT8{left}; other large weights are stored in 8 bits"


def _stored(path: Path) -> str:
    """Which weights are integers in the file, as the subject of a sentence: where much stayed float, how many of them."""
    from math import prod

    from onnx import TensorProto

    from optkit.formats.onnx import load_proto

    large = [t for t in load_proto(path).graph.initializer if len(t.dims) > 1 and prod(t.dims) >= LARGE] if path.exists() else []
    sizes = {kind: [prod(t.dims) for t in large if t.data_type == kind] for kind in (TensorProto.INT8, TensorProto.FLOAT)}
    integers, floats = sizes[TensorProto.INT8], sizes[TensorProto.FLOAT]
    if not integers or sum(floats) <= A_REST * sum(integers):
        return "weights are"
    return f"{len(integers)} of {len(integers) + len(floats)} large weights are"


def _remarks(notes: Mapping[str, Any], data: str | None) -> list[str]:
    found = [*notes.get("remarks", ()), *notes.get("measured_remarks", ())]
    found += [notes[name] for name in ("speed", "fidelity") if isinstance(notes.get(name), str)]
    if data is None and notes.get("judged_on") == "made-up inputs":
        found.append(
            "convolutions and static matrix products need examples: with --data INT8 can do more, and fidelity is judged on real inputs"
        )
    return found


def _trials(notes: Mapping[str, Any], original: int) -> str:
    lines = [f"  {'variant':{NAME}}  {'time':13}  {'size':>5}   SQNR"]
    for trial in notes["measured_trials"]:
        low, high = trial["time"][1:] if trial["time"] else (float("nan"),) * 2
        lines.append(
            f"  {_short(trial['method']):{NAME}}  {low:5.2f} to {high:4.2f}×  {trial['size'] / original:5.1%}  {trial['sqnr']:5.1f}"
        )
    for name, why in notes.get("measured_failures", {}).items():
        lines.append(textwrap.fill(f"{name}: {why}", WIDTH, initial_indent="  ", subsequent_indent="    "))
    return "\n".join(lines)


def _short(name: str) -> str:
    """A variant's name within its column: what it was made of, and what was done last, which tells it from others."""
    first, *rest = name.split(", ")
    while len(name) > NAME and len(rest) > 1:
        rest = rest[1:]
        name = ", ".join([f"{first} …", *rest])
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"
