"""Signal to quantization noise ratio."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.metrics import Metric
from optkit.metrics._answer import is_float, pair

LIMIT = 120.0
"""dB. Nothing in single precision can be told apart beyond; it keeps the mean finite where answers are equal."""


class Sqnr(Metric):
    """10·log10(Σ r² / Σ (r − a)²) in dB over the values of an example's answer, r being the original's; limited to ±120 dB.

    The signal-to-quantization-noise ratio of A. V. Oppenheim and R. W. Schafer, Discrete-Time Signal Processing (section on
    quantization errors), with powers summed over one answer. 20 dB is an error of 10 % of the answer's size, 40 dB of 1 %. Equal
    answers have 120 dB, answers that are not finite where the original's is -120 dB.
    """

    name = "sqnr"
    unit = "dB"
    better = "higher"
    needs = "reference"

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        answer, original = as_numbers(*pair(outputs, reference, self.output))
        with np.errstate(all="ignore"):
            peak = np.abs(original).max(axis=1, keepdims=True, initial=0)
            scale = np.where((peak > 0) & np.isfinite(peak), peak, 1)  # squares neither overflow nor vanish
            signal, noise = (np.einsum("ij,ij->i", x, x) for x in (original / scale, (original - answer) / scale))
            ratio = 10 * np.log10(signal / noise)
        equal = (answer == original).all(axis=1)
        return np.where(equal, LIMIT, np.clip(np.where(np.isnan(ratio), -LIMIT, ratio), -LIMIT, LIMIT))


def as_numbers(answer: Array, original: Array) -> tuple[Array, Array]:
    """Both as float64 [n, values]; what is infinite or NaN in both alike becomes 0 in both. Text counts as equal (0) or not (1)."""
    n = len(answer)
    if not is_float(original) and original.dtype.kind not in "biu":
        different = (answer != original).reshape(n, -1).astype(np.float64)
        return 1 - different, np.ones_like(different)
    a, b = (values.reshape(n, -1).astype(np.float64) for values in (answer, original))
    if np.isfinite(b).all():
        return a, b
    alike = ~np.isfinite(b) & ((a == b) | (np.isnan(a) & np.isnan(b)))
    return np.where(alike, 0, a), np.where(alike, 0, b)
