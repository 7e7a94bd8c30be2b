"""Sequences of words, characters or ids, read from answers and labels, and how many edits part them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError
from optkit.metrics._answer import answer_of, check_rows, is_float, unsuitable

Sequences = list[Any]
"""Of each example the text, or the list of ids."""


def read_pairs(
    metric: str, outputs: Mapping[str, Array], labels: Array | None, wanted: str | None, blank: int | None
) -> tuple[Sequences, Sequences]:
    """What the model read and what is true, both as text or both as lists of ids.

    Labels are text [n], or ids [n, length] in which negative numbers are padding. Answers are text or ids likewise, or with a `blank`
    the scores [n, time, classes] of a CTC model (-1: the last class).
    """
    answer = answer_of(outputs, wanted)
    if labels is None:
        hint = "add an array 'labels': text, or ids [examples, length] with -1 behind the end of short ones"
        raise DataError(f"{metric} needs labels, and the data has none", hint=hint)
    check_rows(metric, labels, len(answer))
    if is_text(answer) != is_text(labels):
        kinds = ["text" if is_text(each) else "numbers" for each in (answer, labels)]
        hint = "give labels of the answer's kind, or name the output they are for with --output"
        raise DataError(f"{metric}: the model answers with {kinds[0]}, the labels are {kinds[1]}", hint=hint)
    if is_text(labels):
        return _texts(metric, answer, outputs, wanted), _texts(metric, labels, {"labels": labels}, None)
    if labels.dtype.kind not in "biu" or labels.ndim > 2:
        what = f"{metric} wants text or ids [examples, length] as labels, the data has {labels.dtype.name} {list(labels.shape)}"
        raise DataError(what, hint="number the words or characters as the model does; -1 fills up short rows")
    truth = [_ids(row) for row in labels.reshape(len(labels), -1)]
    return _decoded(metric, answer, outputs, wanted, blank), truth


def is_text(array: Array) -> bool:
    return array.dtype.kind in "USO"


def edits(read: Sequence[Any], truth: Sequence[Any]) -> int:
    """The fewest insertions, deletions and substitutions that make one of the other (Levenshtein), by dynamic programming over rows."""
    if read == truth:
        return 0
    numbers: dict[Any, int] = {}
    a, b = (np.array([numbers.setdefault(each, len(numbers)) for each in side], np.int64) for side in (read, truth))
    steps = np.arange(len(b) + 1)
    row = steps
    for i, each in enumerate(a):
        straight = np.concatenate([[i + 1], np.minimum(row[1:] + 1, row[:-1] + (b != each))])
        row = np.minimum.accumulate(straight - steps) + steps  # insertions run along the row
    return int(row[-1])


def _texts(metric: str, array: Array, outputs: Mapping[str, Array], wanted: str | None) -> list[str]:
    if array[:1].size != 1:
        raise unsuitable(metric, "one text per example", outputs, wanted)
    return [each.decode() if isinstance(each, bytes) else str(each) for each in array.reshape(len(array)).tolist()]


def _ids(row: Array) -> list[int]:
    kept: list[int] = row[row >= 0].tolist()
    return kept


def _decoded(metric: str, answer: Array, outputs: Mapping[str, Array], wanted: str | None, blank: int | None) -> list[list[int]]:
    if answer.dtype.kind in "biu" and answer.ndim <= 2:
        rows = answer.reshape(len(answer), -1).astype(np.int64)
        return [_ids(row) for row in rows] if blank is None else [_joined(row, blank) for row in rows]
    if not is_float(answer) or answer.ndim != 3:
        raise unsuitable(metric, "ids [n, length] or scores [n, time, classes] of a CTC model", outputs, wanted)
    if blank is None:
        hint = f"for a CTC model --metric {metric}_ctc (blank 0), {metric}_ctcN or {metric}_ctc_last; else --metric module:function"
        raise DataError(f"{metric} got scores {list(answer.shape)} and does not know how they are decoded", hint=hint)
    if not -1 <= blank < answer.shape[2]:
        raise DataError(f"class {blank} cannot be the blank of {answer.shape[2]} classes", hint=f"--metric {metric}_ctc takes class 0")
    return [_joined(row.argmax(axis=1), blank % answer.shape[2]) for row in answer]


def _joined(path: Array, blank: int) -> list[int]:
    """Greedy CTC decoding: equal neighbours are one, then blanks are left out (Graves et al. 2006)."""
    new = np.ones(len(path), bool)
    new[1:] = path[1:] != path[:-1]
    kept: list[int] = path[new & (path != blank) & (path >= 0)].tolist()
    return kept
