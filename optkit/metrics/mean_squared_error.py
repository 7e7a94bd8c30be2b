"""Mean squared error."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError
from optkit.metrics import Metric
from optkit.metrics._answer import answer_of, check_rows


class MeanSquaredError(Metric):
    """Squared difference between answer and label, its mean where an example has several values."""

    name = "mean_squared_error"
    unit = ""
    better = "lower"
    needs = "labels"

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        return np.asarray((differences(self.name, answer_of(outputs, self.output), labels) ** 2).mean(axis=1))


def differences(metric: str, answer: Array, labels: Array | None) -> Array:
    """Answer minus label, float64 [n, values]. Raises DataError when an example has not as many labels as answers."""
    if labels is None:
        raise DataError(f"{metric} needs labels, and the data has none", hint="add an array 'labels' with the true values")
    check_rows(metric, labels, len(answer))
    if answer[:1].size != labels[:1].size or labels.dtype.kind not in "biuf":
        what = f"{metric} wants a number for every value of the answer {list(answer.shape)}, the labels are {list(labels.shape)}"
        raise DataError(what, hint="give labels of the answer's shape, or name the output that they are for with --output")
    n = len(answer)
    return answer.reshape(n, -1).astype(np.float64) - labels.reshape(n, -1).astype(np.float64)
