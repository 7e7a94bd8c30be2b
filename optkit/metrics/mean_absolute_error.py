"""Mean absolute error."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.metrics import Metric
from optkit.metrics._answer import answer_of
from optkit.metrics.mean_squared_error import differences


class MeanAbsoluteError(Metric):
    """Absolute difference between answer and label, in the unit of the labels; its mean where an example has several values."""

    name = "mean_absolute_error"
    unit = ""
    better = "lower"
    needs = "labels"

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        return np.asarray(np.abs(differences(self.name, answer_of(outputs, self.output), labels)).mean(axis=1))
