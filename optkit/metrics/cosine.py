"""Cosine similarity to the original's answer."""

from collections.abc import Mapping

import numpy as np

from optkit.metrics import Metric
from optkit.metrics._answer import Array, pair
from optkit.metrics.sqnr import as_numbers


class Cosine(Metric):
    """a·b / (|a| |b|) over all values of an example's answer, -1 to 1; 1 where both are zero, 0 where one is or is not finite.

    Values that are infinite in both alike, such as masked logits, are left out.
    """

    name = "cosine"
    unit = "ratio"
    better = "higher"
    needs = "reference"

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        a, b = as_numbers(*pair(outputs, reference, self.output))
        finite = np.isfinite(np.stack((a, b))).all(axis=(0, 2))
        a, b = (_to_unit_peak(np.where(finite[:, None], values, 0)) for values in (a, b))
        lengths = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
        cosine = np.divide((a * b).sum(axis=1), lengths, out=np.zeros(len(a)), where=lengths > 0)
        equal = (a == b).all(axis=1) & finite
        return np.where(equal, 1.0, np.clip(cosine, -1, 1))


def _to_unit_peak(values: Array) -> Array:
    """Divided by the largest magnitude of the example, so that squares neither overflow nor vanish."""
    peak = np.abs(values).max(axis=1, keepdims=True, initial=0)
    return np.asarray(values / np.where(peak > 0, peak, 1))
