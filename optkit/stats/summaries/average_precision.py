"""Mean average precision of detections, as COCO computes it."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from optkit.arrays import Array
from optkit.stats.summaries import Rows, Summary, divide
from optkit.stats.summaries._class_counts import mean_where_known

RECALLS = np.linspace(0, 1, 101)
"""Where precision is read."""


class AveragePrecision(Summary):
    """The mean over IoU thresholds and over classes that occur in the truth of the area under precision against recall.

    A row of `parts` holds: the number k of classes in the truth, k times a class and how many there are of it, and for each detection
    its score, its class, and a number whose bit t says whether it found a truth at threshold t. Precision is the highest at that recall
    or any above, read at 101 recalls (Lin et al. 2014, "Microsoft COCO"; the evaluation code published with it).
    """

    draws: ClassVar[int] = 500
    thresholds: ClassVar[int] = 10

    def __init__(self, values: Array, parts: Rows, labels: Array) -> None:
        truths, found = _taken_apart(parts)
        found = found[np.argsort(-found[:, 1], kind="stable")]
        self.classes = [
            (_per_example(truths[truths[:, 1] == name], len(parts)), found[found[:, 2] == name]) for name in np.unique(truths[:, 1])
        ]
        self.widest = max((len(detections) for _, detections in self.classes), default=1)

    def under(self, weights: Array) -> Array:
        weights = np.asarray(weights, np.float64)
        found = [_areas(weights, truths, detections, range(self.thresholds)) for truths, detections in self.classes]
        return mean_where_known(np.concatenate(found, axis=1)) if found else np.full(len(weights), np.nan)

    @property
    def width(self) -> int:
        return 6 * self.widest


def _taken_apart(parts: Rows) -> tuple[Array, Array]:
    """Truths [·, (example, class, count)] and detections [·, (example, score, class, bits)]."""
    truths: list[Array] = [np.zeros((0, 3))]
    found: list[Array] = [np.zeros((0, 4))]
    for i, each in enumerate(parts):
        row = np.asarray(each, np.float64)
        past = 1 + 2 * int(row[0])
        for kept, numbers in ((truths, row[1:past].reshape(-1, 2)), (found, row[past:].reshape(-1, 3))):
            kept.append(np.concatenate([np.full((len(numbers), 1), i), numbers], axis=1))
    return np.concatenate(truths), np.concatenate(found)


def _per_example(truths: Array, examples: int) -> Array:
    counts: Array = np.bincount(truths[:, 0].astype(np.int64), weights=truths[:, 2], minlength=examples)
    return counts


def _areas(weights: Array, truths: Array, detections: Array, thresholds: Sequence[int]) -> Array:
    """[draws, thresholds] for one class, its detections in descending order of score."""
    positives = weights @ truths
    of_each = weights[:, detections[:, 0].astype(np.int64)]
    bits = detections[:, 3].astype(np.int64)
    seen = np.cumsum(of_each, axis=1)
    areas = np.zeros((len(weights), len(thresholds)))
    for place, threshold in enumerate(thresholds):
        right = np.cumsum(of_each * (bits >> threshold & 1), axis=1)
        areas[:, place] = _area(divide(right, positives[:, None]), np.nan_to_num(divide(right, seen)))
    areas[positives == 0] = np.nan
    return areas


def _area(recall: Array, precision: Array) -> Array:
    """[draws], of recalls and precisions [draws, detections] after each detection."""
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)  # recalls that were not reached
    places = np.stack([np.searchsorted(row, RECALLS) for row in recall])
    found: Array = np.take_along_axis(best, places, axis=1).mean(axis=1)
    return found
