"""The class at each position of an answer, beside the true one."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError
from optkit.metrics._answer import answer_of, check_rows, is_float, unsuitable

IGNORED = 255
"""In labels of one byte: no class, as in the PASCAL VOC and Cityscapes data."""


def class_pairs(metric: str, outputs: Mapping[str, Array], labels: Array | None, wanted: str | None) -> list[tuple[Array, Array]]:
    """For each example the classes answered and the true ones, at the positions that count: where the label is not negative.

    Labels are class numbers [n] or [n, positions…]. Answers are class numbers of the labels' shape, or scores with one axis more, of
    the classes, behind the examples or at the end; or one probability per label, class 1 being above one half.
    """
    answer = answer_of(outputs, wanted)
    truth = _class_numbers(metric, labels, len(answer))
    found = _found(metric, answer, truth, outputs, wanted)
    counted = truth >= 0
    if labels is not None and labels.dtype == np.uint8 and truth.ndim > 1:
        counted &= truth != IGNORED
    return [(found[i][counted[i]], truth[i][counted[i]]) for i in range(len(truth))]


def class_counts(pairs: list[tuple[Array, Array]]) -> list[Array]:
    """For each example and each class that occurs in it: class, true positives, false positives, false negatives, in one row."""
    return [_counts(found, truth) for found, truth in pairs]


def _counts(found: Array, truth: Array) -> Array:
    if len(truth) == 1:  # as most have: one class each
        (answer,), (right,) = found.tolist(), truth.tolist()
        row = [right, 1, 0, 0] if answer == right else [answer, 0, 1, 0, right, 0, 0, 1]
        return np.array(row, np.float64)
    names, numbers = np.unique(np.concatenate([found, truth]), return_inverse=True)
    found_as, true_as = numbers[: len(found)], numbers[len(found) :]
    right = np.bincount(true_as[found_as == true_as], minlength=len(names))
    answered, true = (np.bincount(each, minlength=len(names)) for each in (found_as, true_as))
    return np.stack([names, right, answered - right, true - right], axis=1).astype(np.float64).ravel()


def _class_numbers(metric: str, labels: Array | None, rows: int) -> Array:
    if labels is None:
        raise DataError(f"{metric} needs labels, and the data has none", hint="add an array 'labels' with class numbers")
    check_rows(metric, labels, rows)
    if labels.dtype.kind not in "biu":
        raise DataError(f"{metric} wants class numbers as labels, the data has {labels.dtype.name}", hint="number the classes from 0")
    numbers: Array = labels.astype(np.int64)
    long = [size for size in labels.shape[1:] if size > 1]
    return np.asarray(numbers.reshape(rows, *long))


def _found(metric: str, answer: Array, truth: Array, outputs: Mapping[str, Array], wanted: str | None) -> Array:
    n, positions = len(truth), truth.shape[1:]
    if answer[:1].size == truth[:1].size:
        if not is_float(answer):
            return np.asarray(answer.reshape(truth.shape).astype(np.int64))
        return np.asarray(_above_half(metric, answer).reshape(truth.shape))
    if is_float(answer):
        if not positions:
            long = [axis for axis in range(1, answer.ndim) if answer.shape[axis] > 1]
            if len(long) == 1:
                return _best(answer.reshape(n, -1), 1)
        for axis in (1, answer.ndim - 1):
            rest = tuple(size for place, size in enumerate(answer.shape[1:], 1) if place != axis)
            if answer.ndim > 1 and tuple(size for size in rest if size > 1) == positions:
                return _best(answer, axis).reshape(truth.shape)
    shape = f"[n, {', '.join(map(str, positions))}]" if positions else "[n]"
    raise unsuitable(metric, f"for labels {shape} class numbers of that shape or scores with an axis of classes besides", outputs, wanted)


def _best(scores: Array, axis: int) -> Array:
    """The class with the highest score; -1, which is never right, where a score is NaN."""
    best = scores.argmax(axis=axis)
    return np.asarray(np.where(np.isnan(scores).any(axis=axis), -1, best))


def _above_half(metric: str, answer: Array) -> Array:
    if np.nanmin(answer, initial=0.0) < 0 or np.nanmax(answer, initial=0.0) > 1:
        what = f"{metric} takes a single value for the probability of class 1, and here it reaches beyond 0 and 1"
        raise DataError(what, hint="put a sigmoid behind it, or write --metric module:function")
    return np.asarray(np.where(np.isnan(answer), -1, answer > 0.5), np.int64)
