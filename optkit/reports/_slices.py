"""What is said of parts of the data, the same in every form of report: which rows, and what they come to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING

from optkit.reports._words import change_of, name_of

if TYPE_CHECKING:
    from optkit.compare import Comparison, Delta, Slice

SAME = "the same in all {} slices"
FEWEST, MOST = 10, 25
"""Rows shown: the worst, and up to the latter number where the loss is beyond chance."""


@dataclass(frozen=True)
class SliceTable:
    """The slices of one score on one device by one column, the worst first."""

    title: str
    by: str
    unit: str
    """Of the changes."""
    rows: "tuple[Slice, ...]"
    says: tuple[str, ...]
    """What is not shown, and what all of it comes to."""


def slice_tables(comparison: "Comparison", several: bool) -> Iterator[SliceTable]:
    """A table for each score; `several` models are told apart by their names."""
    for (by, device, metric), found in groupby(comparison.slices, lambda each: (each.by, each.delta.device, each.delta.metric)):
        every = tuple(found)
        lost = sum(each.delta.verdict == "worse" for each in every)
        rows = every[: min(MOST, max(FEWEST, lost))]
        of = f" of {comparison.after}" if several else ""
        title = f"{name_of(metric)}{of} by {by}, on {device}, worst first"
        unit = "points" if every[0].delta.unit == "ratio" else "%"
        if unchanged(every):
            yield SliceTable(title.removesuffix(", worst first"), by, unit, (), (SAME.format(len(every)),))
        else:
            yield SliceTable(title, by, unit, rows, tuple(_says(every, len(rows), lost)))


def unchanged(every: "Sequence[Slice]") -> bool:
    """Whether nobody paid: rows of equal numbers would say no more than that."""
    return len(every) > 1 and all(map(_is_equal, (each.delta for each in every)))


def _is_equal(delta: "Delta") -> bool:
    """Of a score of 0 there is no relative gain, but it may stay 0."""
    return delta.verdict == "same" and (delta.gain == 0 or delta.before == delta.after)


def change(delta: "Delta") -> str:
    """The change with its interval, without its unit."""
    if _is_equal(delta):
        return "the same"
    if not isfinite(delta.gain):
        return "0 before" if delta.before == 0 else "not finite"
    value, low, high = (number.removesuffix(" points").removesuffix("%") for number in change_of(delta))
    return f"{value} ({low} to {high})" if isfinite(delta.low) and isfinite(delta.high) else value


def mark(delta: "Delta") -> str:
    """What is beyond chance."""
    return delta.verdict if delta.verdict in ("worse", "better") else ""


def _says(every: "tuple[Slice, ...]", shown: int, lost: int) -> Iterator[str]:
    if hidden := len(every) - shown:
        worse = max(0, lost - shown)
        yield f"{hidden:,} more: {f'{worse} of them worse' if worse else 'none worse beyond chance'}"
    yield comes_to(every)


def comes_to(every: "Sequence[Slice]") -> str:
    """How many slices are worse or better beyond chance."""
    if all(each.corrected is None for each in every):
        return f"{len(every)} slices; intervals are those of each slice alone"
    lost = sum(each.delta.verdict == "worse" for each in every)
    gained = sum(each.delta.verdict == "better" for each in every)
    parts = [f"{count} {word}" for count, word in ((lost, "worse"), (gained, "better")) if count]
    what = " and ".join(parts) + " beyond chance" if parts else "none better or worse beyond chance"
    return f"of {len(every)} slices {what} (5 % for all together, by Holm's correction; intervals are those of each slice alone)"
