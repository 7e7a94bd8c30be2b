"""What is said of layers, the same in every form of report: which rows, which sentences, what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from shlex import quote
from typing import TYPE_CHECKING

from optkit.units import counted

if TYPE_CHECKING:
    from optkit.layers import Layer, LayerComparison

BAD = 20.0
"""dB, as in `optkit.layers`."""
WELL = 30.0
"""dB at the outputs with which nothing need be done: an error of 3 %."""
FULL_BAR = 60.0
"""dB that fill the bar: an error of a thousandth."""
IDENTICAL = 120.0
MOST_ROWS = 48
"""Longer tables are shortened in the middle, around what is worst."""
MOST_NAMED = 5
MOST_EXCLUDED = 8
ENOUGH_NOISE = 0.5
"""Share of the noise that the advice is to be rid of."""
MOVING = frozenset({"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Expand", "Slice", "Dropout"})
"""They only pass on what was there; without noise of their own they need no row."""


@dataclass(frozen=True)
class Gap:
    """Layers that a table leaves out."""

    layers: int
    low: float
    high: float

    def __str__(self) -> str:
        span = f"{number(self.low)} to {decibels(self.high)}" if self.low < self.high else decibels(self.low)
        return f"… {self.layers} more: {span}"


def rows_of(found: "LayerComparison") -> "list[Layer | Gap]":
    """The layers in order; where there are many, the first, the last, the first bad one and the worst."""
    worth = [each for each in found.layers if each.operator not in MOVING or each.own < IDENTICAL or each is found.layers[-1]]
    if len(worth) <= MOST_ROWS:
        return list(worth)
    ends = MOST_ROWS // 4
    kept = {id(each) for each in (*worth[:ends], *worth[-ends:], *(layer for layer, _ in found.worst[:ends]), found.first_bad)}
    rows: list[Layer | Gap] = []
    hidden: list[Layer] = []
    for layer in worth:
        if id(layer) in kept:
            rows += _gap(hidden)
            rows.append(layer)
            hidden = []
        else:
            hidden.append(layer)
    return rows + _gap(hidden)


def _gap(hidden: "Sequence[Layer]") -> "list[Layer | Gap]":
    if len(hidden) < 2:
        return list(hidden)
    ratios = [layer.sqnr for layer in hidden]
    return [Gap(len(hidden), min(ratios), max(ratios))]


def name_of(layer: "Layer") -> str:
    """What people know a layer by: its node, or its tensor where nodes have no names."""
    return layer.node or layer.tensor


def shortened(name: str, width: int) -> str:
    """The end of a name, which tells it apart from its neighbours."""
    return name if len(name) <= width else f"…{name[len(name) - width + 1 :]}"


def number(sqnr: float) -> str:
    """dB without the unit; `broken` is not finite."""
    return "broken" if not isfinite(sqnr) else "equal" if sqnr >= IDENTICAL else f"{sqnr:.1f}"


def decibels(sqnr: float) -> str:
    """dB with the unit."""
    return {"equal": "identical", "broken": "not finite"}.get(number(sqnr), number(sqnr)) + (
        " dB" if isfinite(sqnr) and sqnr < IDENTICAL else ""
    )


def bar(sqnr: float, width: int) -> str:
    """As long as the layer is faithful; marked where it is bad."""
    share = min(max(sqnr, 0.0), FULL_BAR) / FULL_BAR if isfinite(sqnr) else 0.0
    filled = round(share * width)
    return "█" * filled + "·" * (width - filled) + (" bad" if sqnr < BAD else "")


def sentences(found: "LayerComparison") -> Iterator[str]:
    """Where the models part, which layers are to blame, and what was not looked at."""
    bad = [layer for layer in found.layers if layer.sqnr < BAD]
    if found.first_bad is not None:
        rest = f", the first of {len(bad)} below {BAD:g} dB" if len(bad) > 1 else f", the only one below {BAD:g} dB"
        yield f"First bad layer: {_called(found.first_bad)} at {decibels(found.first_bad.sqnr)}{rest}."
    else:
        lowest = min(found.layers, key=lambda layer: layer.sqnr)
        if lowest.sqnr >= IDENTICAL:
            yield "All layers are identical."
        else:
            yield f"No bad layer: none is below {BAD:g} dB; the lowest is {_called(lowest)} at {decibels(lowest.sqnr)}."
    if found.answers < IDENTICAL:
        yield f"The outputs are at {decibels(found.answers)}, with everything changed."
    named = [(layer, share) for layer, share in found.worst[:MOST_NAMED] if share >= 0.01 and (layer.effect or 0.0) < FULL_BAR]
    if named:
        yield "Worst by themselves, with their share of the noise at the outputs:"
        yield from (f"  {share:4.0%}  {_called(layer)}, {decibels(layer.effect or 0.0)}" for layer, share in named)
    if making_up := sum(layer.makes_up for layer in found.layers):
        yield (
            f"{making_up} not counted there: worse alone than in place, so they undo a change made before them (channels given other "
            "scales, biases corrected), which does no harm then."
        )
    by_values = sum(layer.matched == "values" for layer in found.layers)
    known = f", {by_values} of them known by their values" if by_values else ""
    yield f"{counted(len(found.layers), 'tensor')} compared on {counted(found.examples, 'example')}{known}."
    yield from (f"{count} not compared: {why}." for why, count in found.skipped.items())


def _called(layer: "Layer") -> str:
    name = name_of(layer)
    return name if layer.operator.lower() in name.lower() else f"{name} ({layer.operator})"


def advice(found: "LayerComparison") -> list[str]:
    """What to do, line by line; commands can be copied. Empty where nothing is bad, or the answers are good all the same."""
    if found.first_bad is None or found.answers >= WELL:
        return []
    excluded = list(dict.fromkeys(pattern for layer in _to_blame(found) for pattern in layer.exclude))[:MOST_EXCLUDED]
    if found.precision == "int8" and excluded:
        lines = [f"optkit quantize {quote(found.model)} --int8", f"--data {quote(found.data) if found.data else 'DATA'}"]
        lines += [f"--exclude {quote(pattern)}" for pattern in excluded]
        return [
            "leave what harms the outputs most in float:",
            f"  {lines[0]} \\",
            *(f"    {line} \\" for line in lines[1:-1]),
            f"    {lines[-1]}",
        ]
    if found.precision == "fp16":
        operators = sorted({layer.operator for layer in _to_blame(found)} or {found.first_bad.operator})
        return ["keep these operators in float32, in a recipe for optkit run:", f"  - cast_half: {{keep: [{', '.join(operators)}]}}"]
    return [f"look at how {_called(found.first_bad)} was made in {found.after}, where its tensor is called {found.first_bad.after}"]


def _to_blame(found: "LayerComparison") -> "Iterator[Layer]":
    total = 0.0
    for layer, share in found.worst:
        if total >= ENOUGH_NOISE:
            return
        total += share
        yield layer
