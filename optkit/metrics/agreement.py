"""How often a model gives the same answer as the original."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.metrics import Metric
from optkit.metrics._answer import decision_name, is_float, pair, positions

TOLERANCE = 0.05
"""Single values that are no probabilities are alike within this share of the original's value, or this much where it is below 1."""


class Agreement(Metric):
    """The share of an example's positions that have the same answer: 0 or 1 where there is one position.

    Where a position has scores of several classes, the answer is the class with the highest score (the first of equals). Where it
    has a single value, two values within 0 and 1 agree on the same side of one half (both are taken for probabilities), other
    values within 5 %; `one_each` says that of a vector every number is a position. Integers, truth values and text agree when they
    are equal; integers beside numbers of the same shape, such as the ids that a reader of text decided for and how sure it was, are
    the answer. NaN agrees with NaN only.
    """

    name = "agreement"
    unit = "ratio"
    better = "higher"
    needs = "reference"

    def __init__(self, output: str | None = None, *, one_each: bool = False) -> None:
        super().__init__(output)
        self.one_each = one_each

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        answer, original = pair(outputs, reference, decision_name(reference, self.output) if reference else self.output)
        if not is_float(original):
            alike = (answer == original).reshape(len(answer), -1)
        else:
            a, b = (each[:, :, None] if self.one_each else positions(each) for each in (answer, original))
            alike = _same_class(a, b) if a.shape[2] > 1 else _same_value(a[:, :, 0], b[:, :, 0])
        return np.asarray(alike.mean(axis=1, dtype=np.float64))


def _same_class(a: Array, b: Array) -> Array:
    best_a, best_b = a.argmax(axis=2), b.argmax(axis=2)  # the first NaN, where there is one
    broken_a, broken_b = (np.isnan(np.take_along_axis(x, best[:, :, None], 2)[:, :, 0]) for x, best in ((a, best_a), (b, best_b)))
    return np.asarray((broken_a == broken_b) & (broken_a | (best_a == best_b)))


def _same_value(a: Array, b: Array) -> Array:
    a, b = a.astype(np.float64), b.astype(np.float64)
    probabilities = (a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)
    with np.errstate(invalid="ignore"):
        close = np.abs(a - b) <= TOLERANCE * np.maximum(1, np.abs(b))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.asarray(np.where(probabilities, (a > 0.5) == (b > 0.5), close | same))
