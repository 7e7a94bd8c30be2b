"""Top-1 accuracy."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError
from optkit.metrics import Metric
from optkit.metrics._answer import answer_of, class_scores, one_label_each, unsuitable


class Top1(Metric):
    """1 where the class with the highest score (the first of equals) is the label, else 0; an answer with NaN is wrong.

    An integer output is the class itself. With several `places` (top5: five), the label may be any of so many best classes.
    """

    name = "top1"
    unit = "ratio"
    better = "higher"
    needs = "labels"

    def __init__(self, output: str | None = None, places: int = 1) -> None:
        super().__init__(output)
        self.places = places
        self.name = f"top{places}"

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        answer = answer_of(outputs, self.output)
        labels = _class_numbers(self.name, one_label_each(self.name, labels, len(answer)))
        if self.places == 1 and answer.dtype.kind in "biu" and answer[:1].size == 1:
            return np.asarray(answer.reshape(len(answer)) == labels, np.float64)
        scores = class_scores(answer)
        if scores is None:
            raise unsuitable(self.name, "one row of class scores per example", outputs, self.output)
        classes = scores.shape[1]
        if self.places >= classes:
            raise DataError(f"with {classes} classes {self.name} is always right", hint="use --metric top1")
        if labels.min() < 0 or labels.max() >= classes:
            worst = labels.min() if labels.min() < 0 else labels.max()
            hint = "number the labels from 0 in the order of the model's classes"
            raise DataError(f"label {worst} is no class of the model, which has {classes} (0 to {classes - 1})", hint=hint)
        return np.asarray(_rank(scores, labels) < self.places, np.float64)


def _rank(scores: Array, labels: Array) -> Array:
    """How many classes stand before the label's: those with a higher score, and those with the same and a smaller number."""
    own = np.take_along_axis(scores, labels[:, None], 1)
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < labels[:, None]))
    return np.asarray(np.where(np.isnan(scores).any(1), scores.shape[1], before.sum(1)))


def _class_numbers(metric: str, labels: Array) -> Array:
    if labels.dtype.kind in "biu":
        return labels.astype(np.int64)
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        return labels.astype(np.int64)
    kind = "text" if labels.dtype.kind in "USO" else "fractions"
    raise DataError(f"{metric} wants class numbers as labels, the data has {kind}", hint="number the classes from 0")
