"""Where two models part: the noise of every layer in the order of the graph, and who is to blame for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from markupsafe import Markup

from optkit.reports._layers import BAD, FULL_BAR, MOST_NAMED, Gap, advice, decibels, name_of, number, rows_of, sentences
from optkit.reports.html.scales import Scale
from optkit.reports.html.svg import drawing, element, group, line, mark, polyline, text

if TYPE_CHECKING:
    from optkit.layers import Layer, LayerComparison
    from optkit.report import Report

SIZES = ((1000.0, 230.0), (340.0, 210.0))
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 12.0, 30.0
CLOSEST = 2.5
"""Between layers that are drawn."""
MOST_DOTS = 150
"""That say what they are; of more layers the worst, while the line goes on."""
MOST_ROWS = 300
"""Of the table; longer ones are shortened around what is worst."""


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    name: str
    operator: str
    so_far: str
    alone: str
    outputs: str
    bad: bool
    gap: bool = False


@dataclass(frozen=True)
class Parting:
    """Everything on one pair of models."""

    before: str
    after: str
    pictures: tuple[Markup, Markup]
    blamed: tuple[tuple[str, str, float], ...]
    """Layers with their operator and their share of the noise at the outputs."""
    sentences: tuple[str, ...]
    advice: str
    commands: str
    rows: tuple[Line, ...]


def view(report: "Report") -> list[Parting]:
    """One for each pair."""
    return [_parting(found) for found in report.layers if found.layers]


def _parting(found: "LayerComparison") -> Parting:
    what, *commands = advice(found) or [""]
    drawn = [_picture(found, *size) for size in SIZES]
    worst = [(layer, share) for layer, share in found.worst[:MOST_NAMED] if share >= 0.01]
    return Parting(
        found.before,
        found.after,
        (drawn[0], drawn[1]),
        tuple((name_of(layer), layer.operator, share) for layer, share in worst),
        tuple(line for line in sentences(found) if not line.startswith(("  ", "Worst by themselves"))),
        what,
        "\n".join(command.removeprefix("  ") for command in commands),
        tuple(_line(row) for row in (found.layers if len(found.layers) <= MOST_ROWS else rows_of(found))),
    )


def _line(row: "Layer | Gap") -> Line:
    if isinstance(row, Gap):
        return Line(str(row), "", "", "", "", False, gap=True)
    effect = "" if row.effect is None else number(row.effect)
    return Line(name_of(row), row.operator, number(row.sqnr), number(row.own), effect, row.sqnr < BAD)


def _picture(found: "LayerComparison", width: float, height: float) -> Markup:
    layers, floor = found.layers, height - BOTTOM
    across = Scale(0, max(len(layers) - 1, 1), LEFT + 8, width - RIGHT - 8)
    up = Scale(0, FULL_BAR, floor, TOP)
    grid = [line(LEFT, up(tick), width - RIGHT, up(tick), "grid") for tick in (0, 20, 40, 60)]
    labels = [text(LEFT - 8, up(tick) + 4, f"{tick} dB" if tick < FULL_BAR else "≥ 60", anchor="end") for tick in (0, 20, 40, 60)]
    labels += [text(LEFT, height - 8, "first layer", "small"), text(width - RIGHT, height - 8, "last layer", "small", "end")]
    bad = element("rect", x=LEFT, y=up(BAD), width=width - LEFT - RIGHT, height=floor - up(BAD), class_="bad-zone")
    said = text((LEFT + width - RIGHT) / 2, height - 8, f"red ground: bad, below {BAD:g} dB", "small bad-words", "middle")
    shown = _thinned(layers, int(width / CLOSEST))
    stems = "".join(f"M{across(i):.1f} {up(FULL_BAR):.1f}V{up(_db(own)):.1f}" for i, _, own in shown)
    curve = polyline([(across(i), up(_db(each.sqnr))) for i, each, _ in shown], "curve s1")
    worst = sorted(shown, key=lambda each: each[1].sqnr)[:MOST_DOTS]
    dots = [_dot(each, across(i), up(_db(each.sqnr)), len(shown) > width / 8) for i, each, _ in sorted(worst, key=lambda each: each[0])]
    label = f"signal to noise of {len(layers)} layers, {found.after} against {found.before}; lowest {decibels(min(_all(layers)))}"
    own = element("path", d=stems, class_="stem own")
    return drawing(width, height, label, bad, *grid, said, own, curve, *dots, *labels)


def _thinned(layers: "Sequence[Layer]", most: int) -> "list[tuple[int, Layer, float]]":
    """Layers with their place and their own noise; of very many, the worst of each few that follow each other."""
    few = -(-len(layers) // most)
    found = []
    for start in range(0, len(layers), few):
        together = layers[start : start + few]
        worst = min(range(len(together)), key=lambda i: together[i].sqnr)
        found.append((start + worst, together[worst], min(each.own for each in together)))
    return found


def _dot(layer: "Layer", x: float, y: float, crowded: bool) -> Markup:
    says = f"{name_of(layer)} ({layer.operator}): {decibels(layer.sqnr)} with all before it, {decibels(layer.own)} alone"
    wrong = layer.sqnr < BAD
    size = (2.2 if wrong else 1.6) if crowded else (4.2 if wrong else 3.2)
    fine = " fine" if crowded else ""
    return group(mark(2 if wrong else 0, x, y, size, ("dot worse" if wrong else "dot s1") + fine), says=says)


def _db(sqnr: float) -> float:
    return sqnr if isfinite(sqnr) else 0.0


def _all(layers: "Sequence[Layer]") -> list[float]:
    return [layer.sqnr for layer in layers]
