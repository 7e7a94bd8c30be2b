"""F1, every class counting alike."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError
from optkit.metrics import SetMetric
from optkit.metrics._answer import answer_of, is_float
from optkit.metrics._classes import class_counts, class_pairs


class F1Macro(SetMetric):
    """The mean over classes of 2·TP / (2·TP + FP + FN); classes that occur neither in labels nor in answers do not count.

    Labels are class numbers [n], or [n, positions] with -1 where none counts; or, where an example may have several classes, 0 and 1 in
    the shape of the answer's probabilities [n, classes], above one half meaning yes.
    """

    name = "f1_macro"
    unit = "ratio"
    better = "higher"
    summary = "f1_macro"
    needs = "labels"

    def parts(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> list[Array]:
        answer = answer_of(outputs, self.output)
        if labels is not None and _several(answer, labels):
            return _by_class(self.name, answer, labels)
        return class_counts(class_pairs(self.name, outputs, labels, self.output))


def _several(answer: Array, labels: Array) -> bool:
    """Whether labels say yes or no to each class."""
    shaped = labels.ndim == 2 and labels.shape == answer.shape and labels.shape[1] > 1
    return shaped and is_float(answer) and bool(np.isin(labels, (0, 1)).all())


def _by_class(metric: str, answer: Array, labels: Array) -> list[Array]:
    if answer.min(initial=0) < 0 or answer.max(initial=0) > 1:
        what = f"{metric} wants probabilities where an example may have several classes, and here they reach beyond 0 and 1"
        raise DataError(what, hint="put a sigmoid behind them, or write --metric module:function")
    yes, true = answer > 0.5, labels > 0
    rows = []
    for said, right in zip(yes, true, strict=True):
        classes = np.flatnonzero(said | right)
        counts = [each[classes] for each in (said & right, said & ~right, right & ~said)]
        rows.append(np.stack([classes, *counts], axis=1).astype(np.float64).ravel())
    return rows
