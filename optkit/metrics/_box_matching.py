"""Which detections find a true box, at each overlap that is asked for; as COCO's evaluation does it, without crowds."""

import numpy as np

from optkit.arrays import Array
from optkit.metrics._boxes import Boxes

THRESHOLDS = np.linspace(0.5, 0.95, 10)
MOST = 100
"""Detections of one class in one image that count, the best first."""


def matched(found: Boxes, truth: Boxes) -> Array:
    """A row for `average_precision`: how many of which class are true, then score, class and thresholds met of each detection."""
    names, counts = np.unique(truth.classes, return_counts=True)
    row = [np.array([len(names)]), np.stack([names, counts], axis=1).ravel()]
    for name in np.unique(found.classes):
        order = np.flatnonzero(found.classes == name)
        order = order[np.argsort(-found.scores[order], kind="stable")][:MOST]
        bits = _thresholds_met(overlaps(found.corners[order], truth.corners[truth.classes == name]))
        row.append(np.stack([found.scores[order], np.full(len(order), name), bits], axis=1).ravel())
    return np.concatenate(row).astype(np.float64)


def overlaps(a: Array, b: Array) -> Array:
    """Intersection over union of boxes given by two corners, [len(a), len(b)]."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(each[:, 2:] - each[:, :2], 0, None).prod(axis=1) for each in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    found: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def _thresholds_met(overlap: Array) -> Array:
    """For each detection, best first, the thresholds at which it finds a true box that no better one found: bit t for threshold t.

    A detection takes the box that it overlaps most, the later of equals.
    """
    detections, truths = overlap.shape
    bits = np.zeros(detections, np.int64)
    if not truths:
        return bits
    free = np.ones((len(THRESHOLDS), truths), bool)
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    every = np.arange(len(THRESHOLDS))
    for i in range(detections):
        open_to = np.where(free & (overlap[i] >= least), overlap[i], -1.0)
        best = truths - 1 - open_to[:, ::-1].argmax(axis=1)
        met = open_to[every, best] >= 0
        free[every[met], best[met]] = False
        bits[i] = int((1 << every[met]).sum())
    return bits
