"""Area under the ROC curve."""

import numpy as np

from optkit.arrays import Array
from optkit.stats.summaries import Rows, Summary, divide


class Auroc(Summary):
    """The chance that an example labelled 1 scores above one labelled 0, ties counting half; NaN when one of the labels is missing.

    Scores stand in ascending order, so that the pairs ranked rightly are counted by one cumulative sum (Hanley & McNeil 1982,
    "The Meaning and Use of the Area under a ROC Curve", Radiology 143:29-36).
    """

    def __init__(self, values: Array, parts: Rows, labels: Array) -> None:
        if len(values) != len(labels):
            raise ValueError(f"{len(values)} scores for {len(labels)} labels")
        self.order = np.argsort(values, kind="stable")
        ascending = np.asarray(values)[self.order]
        self.positive = np.asarray(labels)[self.order] > 0
        self.first = np.searchsorted(ascending, ascending, side="left")
        self.past = np.searchsorted(ascending, ascending, side="right")

    def under(self, weights: Array) -> Array:
        ranked = np.asarray(weights, np.float64)[:, self.order]
        negatives = np.zeros((len(ranked), ranked.shape[1] + 1))
        np.cumsum(ranked * ~self.positive, axis=1, out=negatives[:, 1:])
        below = (negatives[:, self.first[self.positive]] + negatives[:, self.past[self.positive]]) / 2
        won = (ranked[:, self.positive] * below).sum(axis=1)
        return divide(won, ranked[:, self.positive].sum(axis=1) * negatives[:, -1])

    @property
    def width(self) -> int:
        return 3 * len(self.order)
