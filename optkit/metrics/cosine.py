"""Cosine similarity to the original's answer."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.metrics import Metric
from optkit.metrics._answer import pair
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
        equal = (a == b).all(axis=1)
        a, usable_a = _to_unit_peak(a)
        b, usable_b = _to_unit_peak(b)
        lengths = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
        cosine = np.clip(np.einsum("ij,ij->i", a, b) / lengths, -1, 1)
        return np.where(equal, 1.0, np.where(usable_a & usable_b, cosine, 0.0))


def _to_unit_peak(values: Array) -> tuple[Array, Array]:
    """Divided by the largest magnitude of the example, so that squares neither overflow nor vanish; ones where that is 0 or not finite."""
    peak = np.abs(values).max(axis=1, initial=0)
    usable = np.isfinite(peak) & (peak > 0)
    if not usable.all():
        values = np.where(usable[:, None], values, 1.0)
    return values / np.where(usable, peak, 1.0)[:, None], usable
