"""Pearson's correlation of answers with labels."""

from collections.abc import Mapping, Sequence

import numpy as np

from optkit.arrays import Array
from optkit.metrics import SetMetric
from optkit.metrics._answer import answer_of, unsuitable
from optkit.metrics.mean_squared_error import differences


class Pearson(SetMetric):
    """The linear correlation over all examples of the answer with the label, one number each."""

    name = "pearson"
    unit = ""
    better = "higher"
    summary = "pearson"
    needs = "labels"

    def parts(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> list[Array]:
        answer = answer_of(outputs, self.output)
        if answer[:1].size != 1 or answer.dtype.kind in "USO":
            raise unsuitable(self.name, "one number per example", outputs, self.output)
        differences(self.name, answer, labels)  # raises where the labels do not fit
        assert labels is not None
        return list(np.stack([each.reshape(len(answer)).astype(np.float64) for each in (answer, labels)], axis=1))

    def alone(self, parts: Sequence[Array]) -> Array:
        """The answer: one example has no correlation."""
        return np.asarray(parts, np.float64).reshape(-1, 2)[:, 0]
