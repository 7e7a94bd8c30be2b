"""Detections and true boxes out of a model's outputs and labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError, UsageError
from optkit.metrics._answer import check_rows, describe

LAYOUT = "boxes [n, K, 4] with scores [n, K] and classes [n, K], or scores [n, K, classes]; or one output [n, K, 6]: box, score, class"
LABELS = "labels are [n, M, 5]: box and class, class -1 in rows that are not used; coordinates in the order and unit of the model's"


@dataclass(frozen=True)
class Boxes:
    """Of one example: corners [k, 4], classes [k] and, for detections, scores [k]."""

    corners: Array
    classes: Array
    scores: Array


def true_boxes(metric: str, labels: Array | None, rows: int) -> list[Boxes]:
    """The truth of each example. Raises DataError."""
    if labels is None:
        raise DataError(f"{metric} needs labels, and the data has none", hint=LABELS)
    check_rows(metric, labels, rows)
    if labels.ndim != 3 or labels.shape[2] != 5:
        raise DataError(f"{metric} got labels {list(labels.shape)}", hint=LABELS)
    made = []
    for row in labels.astype(np.float64):
        kept = row[row[:, 4] >= 0]
        made.append(Boxes(kept[:, :4], kept[:, 4].astype(np.int64), np.ones(len(kept))))
    return made


def detections(metric: str, outputs: Mapping[str, Array]) -> list[Boxes]:
    """What the model found in each example: rows of a negative class or a score of 0 or less are not used. Raises UsageError."""
    whole = [array for array in outputs.values() if array.ndim == 3 and array.shape[2] == 6]
    if len(outputs) == 1 and whole:
        array = whole[0].astype(np.float64)
        return [_used(row[:, :4], row[:, 4], row[:, 5]) for row in array]
    corners = _named(outputs, ("box",), 4)
    scores, classes = _named(outputs, ("score", "conf", "prob"), None), _named(outputs, ("class", "label", "cls"), None)
    if corners is None:
        corners = next((array for array in outputs.values() if array.ndim == 3 and array.shape[2] == 4), None)
    if corners is None or scores is None or (classes is None and scores.ndim != 3) or len(scores) != len(corners):
        hint = f"it wants {LAYOUT}; put non-maximum suppression into the model, or write --metric module:function"
        raise UsageError(f"{metric} does not find boxes, scores and classes in {describe(outputs)}", hint=hint)
    if scores.ndim == 3 and scores.shape[2] > 1:
        return [_each_class(box, score) for box, score in zip(corners, scores, strict=True)]
    count = _named(outputs, ("num", "count"), None)
    most = np.full(len(corners), corners.shape[1]) if count is None else count.reshape(len(corners), -1)[:, 0].astype(np.int64)
    assert classes is not None
    flat = [each.reshape(len(corners), corners.shape[1]).astype(np.float64) for each in (scores, classes)]
    return [_used(corners[i, : most[i]], flat[0][i, : most[i]], flat[1][i, : most[i]]) for i in range(len(corners))]


def _named(outputs: Mapping[str, Array], words: tuple[str, ...], last: int | None) -> Array | None:
    for name, array in outputs.items():
        if any(word in name.lower() for word in words) and (last is None or (array.ndim == 3 and array.shape[2] == last)):
            return array
    return None


def _used(corners: Array, scores: Array, classes: Array) -> Boxes:
    kept = (scores > 0) & (classes >= 0)
    return Boxes(corners[kept].astype(np.float64), classes[kept].astype(np.int64), scores[kept].astype(np.float64))


def _each_class(corners: Array, scores: Array) -> Boxes:
    """Every pair of a box and a class that it may be."""
    box, name = np.nonzero(scores > 0)
    return Boxes(corners[box].astype(np.float64), name, scores[box, name].astype(np.float64))
