"""A first recipe for a model: what it holds decides the passes, the data at hand decides the limits."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from optkit.inspection import Inspection
from optkit.recipe.lines import read_lines

Kind = Literal["transformer", "cnn", "other", "quantized", "nothing to quantize"]
ATTENTION = frozenset({"Attention", "MultiHeadAttention", "GroupQueryAttention", "PackedAttention", "QAttention"})
MOSTLY = 0.5
"""Share of the weights that decides what a model is."""


@dataclass(frozen=True)
class Starter:
    """A recipe to begin with, and why it is as it is."""

    kind: Kind
    passes: tuple[str, ...]
    why: tuple[str, ...]
    text: str


def starter(seen: Inspection, folder: Path, data: str | None, judged: bool) -> Starter:
    """A recipe that will lie in `folder`. `data` is what `--data` takes; without it inputs are made up.

    `judged`: its labels fit a metric, so that accuracy can be limited.
    """
    kind = kind_of(seen)
    passes = {
        "transformer": ("simplify_graph", "fuse_transformer", "quantize"),
        "cnn": ("simplify_graph", "quantize"),
        "other": ("simplify_graph", "quantize"),
        "quantized": ("simplify_graph",),
        "nothing to quantize": ("simplify_graph",),
    }[kind]
    why = tuple(each.what for each in seen.advice)
    return Starter(kind, passes, why, _text(seen, folder, data, judged, passes, why))


def kind_of(seen: Inspection) -> Kind:
    """What a model is, by its operators and by where its weights are."""
    total = sum(part.weight_bytes for part in seen.parts)
    done, open_ = (sum(part.weight_bytes for part in seen.parts if part.can in can) for can in (("done",), ("int8", "int8 weights")))
    if done and done >= MOSTLY * total:
        return "quantized"
    if not open_:
        return "nothing to quantize"
    names = {operator.name for operator in seen.operators}
    in_conv = sum(part.weight_bytes for part in seen.parts if "Conv" in part.operator)
    normalized = "LayerNormalization" in names or names >= {"ReduceMean", "Sqrt", "Div"}
    if (names & ATTENTION or ("Softmax" in names and normalized)) and in_conv < MOSTLY * total:
        return "transformer"
    return "cnn" if in_conv else "other"


def _text(seen: Inspection, folder: Path, data: str | None, judged: bool, passes: Sequence[str], why: Sequence[str]) -> str:
    model = _scalar(_from(folder, seen.path))
    lines = [
        f"# A recipe for {Path(seen.path).name}. Run it with `optkit run`; `optkit check` says what it needs.",
        *(f"# {each}" for each in why),
    ]
    lines += ["", f"model: {model}"]
    if data is None:
        lines += ["# inputs are made up: put labelled examples here to measure accuracy, such as data: examples.npz", "data: synthetic"]
    else:
        lines += [
            "# one source is divided: some examples to calibrate with, the others to compare on",
            f"data: {_scalar(_from(folder, data))}",
        ]
    lines += ["", "# `optkit passes NAME` shows the parameters of each", "passes:", *(f"  - {word}" for word in passes)]
    lines += ["", "measure:", "  devices: [cpu]", "  batches: [1]", "  threads: 1", "  time: 10s"]
    lines += ["", "# what the result may cost; a broken limit ends with exit code 1", "gate:"]
    lines += ["  max_drop: 1%" if judged else "  min_agreement: 98%"]
    return "\n".join(lines) + "\n"


def _from(folder: Path, place: str) -> str:
    """A path as seen from the recipe; `module:callable` and what lies on another drive stay as they are."""
    if not Path(place.partition("[")[0]).exists():
        return place
    try:
        return Path(os.path.relpath(place, folder)).as_posix()
    except ValueError:
        return str(Path(place).absolute())


def _scalar(text: str) -> str:
    """Text as YAML reads it back."""
    plain = read_lines(f"k: {text}", "")
    return text if not plain.problems and plain.values == {"k": text} else json.dumps(text, ensure_ascii=False)
