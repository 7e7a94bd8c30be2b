"""Differences on parts of the examples: which class, or which value of a column, paid."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

import numpy as np

from optkit.arrays import Array
from optkit.compare import Delta, Says, Slice
from optkit.compare._deltas import score_delta
from optkit.errors import DataError, UsageError
from optkit.samples import Samples, kind_of
from optkit.stats.multiple import holm

if TYPE_CHECKING:
    from optkit.measure import Measurement

BY_CLASS = {"f1_macro": 4, "f1_micro": 4, "mean_iou": 4, "average_precision": 0, "average_precision_50": 0}
"""Summaries that are made of classes: `label` then slices by the classes within them, and keeps all examples. With the length of their
rows' items; 0 for those of detections."""
MOST_NAMES = 1000
MOST_NUMBERS = 24
"""Different numbers in a column beyond which it is cut into quarters."""
SURE = 0.05


def cut_into(by: str, values: Array | None, source: str) -> tuple[str, ...]:
    """For each example the name of its slice: its value, or for many different numbers the quarter that it is in.

    Labels that are whole numbers are classes, however many. Raises DataError or UsageError where there is nothing to slice by.
    """
    if values is None:
        hint = "add an array of that name with one value per example" if by != "label" else "add an array 'labels'"
        raise DataError(f"--by {by}: there is no such thing in the data", where=source, hint=hint)
    if values[:1].size != 1 and by == "label":
        return ()  # there may be scores that know of classes
    if values[:1].size != 1:
        raise DataError(f"--by {by}: it has {values[0].size} values per example", where=source, hint="slices need one each")
    flat = values.reshape(len(values))
    if flat.dtype.kind in "biuf" and len(np.unique(flat)) > MOST_NUMBERS and not (by == "label" and flat.dtype.kind in "biu"):
        return _quarters(flat.astype(np.float64))
    names = tuple(_named(each) for each in flat.tolist())
    if (count := len(set(names))) > MOST_NAMES or count == len(names) > 1:
        raise UsageError(f"--by {by}: it has {count:,} different values", where=source, hint="slice by something that examples share")
    return names


def slices_of(before: "Measurement", after: "Measurement", by: str, names: Sequence[str], seed: int) -> tuple[Slice, ...]:
    """What differs on each slice, for every score of accuracy, or for agreement where there is none; of each, the worst slice first."""
    firsts = {samples.metric: samples for samples in before.samples}
    scored = [each for each in after.samples if each.paired_by == "example"]
    wanted = [each for each in scored if kind_of(each.metric) == "accuracy"] or [each for each in scored if each.metric == "agreement"]
    found: list[Slice] = []
    for second in wanted:
        first = firsts.get(second.metric)
        parts = _by_class(first, second) if by == "label" and second.summary in BY_CLASS else _by_name(first, second, names)
        cut = []
        for name, count, before_there, after_there in parts:
            delta = score_delta(before_there, after_there, after.device, after.batch, seed)
            if not (isnan(delta.before) and isnan(delta.after)):  # such as the AUROC of one class
                cut.append(Slice(by, name, count, delta, None))
        found += sorted(_corrected(cut), key=_badness)
    return tuple(found)


Part = tuple[str, int, Samples | None, Samples]
"""Name, number of examples, scores before and after."""


def _by_name(first: Samples | None, second: Samples, names: Sequence[str]) -> Iterator[Part]:
    """The examples of each name."""
    if names and len(second.values) != len(names):
        raise ValueError(f"{second.metric} has {len(second.values)} scores for {len(names)} examples")
    places: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        places.setdefault(name, []).append(i)
    for name, rows in places.items():
        yield name, len(rows), first and _taken(first, rows), _taken(second, rows)


def _by_class(first: Samples | None, second: Samples) -> Iterator[Part]:
    """All examples, each with what it holds of one class; counted are those that hold any."""
    assert first is not None  # only fidelity has no first, and it is made of no classes
    size = BY_CLASS[second.summary]
    for name in sorted({name for samples in (first, second) for row in samples.parts for name in _classes(row, size)}):
        before, after = (replace(each, parts=tuple(_of_class(row, name, size) for row in each.parts)) for each in (first, second))
        there = sum(name in _classes(a, size) or name in _classes(b, size) for a, b in zip(first.parts, second.parts, strict=True))
        yield _named(name), there, before, after


def _classes(row: Sequence[float], size: int) -> tuple[float, ...]:
    """The classes of a row's counts; of detections those of the truth, since the others count for nothing."""
    return tuple(row[::size]) if size else tuple(row[1 : 1 + 2 * int(row[0]) : 2])


def _of_class(row: Sequence[float], name: float, size: int) -> tuple[float, ...]:
    if size:
        return tuple(n for i in range(0, len(row), size) if row[i] == name for n in row[i : i + size])
    past = 1 + 2 * int(row[0])
    truths = [n for i in range(1, past, 2) if row[i] == name for n in row[i : i + 2]]
    return (len(truths) / 2, *truths, *(n for i in range(past, len(row), 3) if row[i + 1] == name for n in row[i : i + 3]))


def _taken(samples: Samples, kept: Sequence[int]) -> Samples:
    """The samples of some examples."""
    return replace(
        samples,
        values=tuple(samples.values[i] for i in kept),
        labels=tuple(samples.labels[i] for i in kept) if samples.labels else (),
        groups=tuple(samples.groups[i] for i in kept) if samples.groups else (),
        parts=tuple(samples.parts[i] for i in kept) if samples.parts else (),
    )


def _corrected(cut: Sequence[Slice]) -> list[Slice]:
    tested = [each for each in cut if each.delta.p is not None]
    chances = iter(holm([each.delta.p for each in tested if each.delta.p is not None]))
    return [each if each.delta.p is None else _judged(each, next(chances)) for each in cut]


def _judged(found: Slice, corrected: float) -> Slice:
    delta = found.delta
    verdict: Says = "undecided"
    if corrected < SURE and not isnan(delta.gain):
        verdict = "better" if delta.gain > 0 else "worse"
    elif delta.verdict == "same":
        verdict = "same"
    return replace(found, corrected=corrected, delta=replace(delta, verdict=verdict))


def _badness(found: Slice) -> tuple[bool, bool, float]:
    """Real losses first, then by size; what cannot be compared last."""
    delta: Delta = found.delta
    return delta.verdict != "worse", isnan(delta.gain), delta.gain


def _quarters(numbers: Array) -> tuple[str, ...]:
    known = numbers[~np.isnan(numbers)]
    edges = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1]))
    place = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, max(0, len(edges) - 2))
    return tuple(
        "unknown" if isnan(number) else f"{edges[i]:.4g} to {edges[min(i + 1, len(edges) - 1)]:.4g}"
        for number, i in zip(numbers.tolist(), place.tolist(), strict=True)
    )


def _named(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
