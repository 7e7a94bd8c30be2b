"""Signal and noise of a tensor, folded example by example into two sums."""

from dataclasses import dataclass

import numpy as np

from optkit.arrays import Array
from optkit.quantization.fidelity.reference import decibels

LARGEST = 65504.0
"""Beyond float16's largest number one is as good as another; squares do not overflow."""
MASKED, LOWEST, GENTLE = -9e3, -6e4, 200.0
"""In front of a softmax, exporters mask with -10000, -1e9 or the lowest number, and rewrites with something gentler: all the same."""


@dataclass
class Noise:
    """Sums of squares. Where both are infinite or NaN alike there is no difference."""

    signal: float = 0.0
    noise: float = 0.0
    finite: bool = True

    def add(self, truth: Array, got: Array) -> None:
        """Fold one example in."""
        if truth.shape != got.shape:
            self.finite = False
            return
        a, b = truth.astype(np.float32, copy=False), got.astype(np.float32, copy=False)
        if not _ordinary(a) or not _ordinary(b):
            self.finite &= not (~np.isfinite(b) & (np.abs(a) < LARGEST)).any()
            masked = ((a <= MASKED) & (np.abs(b) <= GENTLE)) | ((a <= LOWEST) & (b <= MASKED))
            left_out = ~np.isfinite(a) | ~np.isfinite(b) | masked
            a, b = (np.clip(np.where(left_out, 0, values), -LARGEST, LARGEST) for values in (a, b))
        self.signal += _energy(a)
        self.noise += _energy(a - b)

    @property
    def ratio(self) -> float:
        """Noise over signal; infinite where the answers are not finite, or there is noise and no signal."""
        if not self.finite:
            return float("inf")
        return self.noise / self.signal if self.signal else (float("inf") if self.noise else 0.0)

    @property
    def sqnr(self) -> float:
        """In dB, 120 at most."""
        return decibels(self.ratio)


def _ordinary(values: Array) -> bool:
    """No NaN, no masks, nothing beyond float16."""
    return not values.size or bool(values.max() <= LARGEST and values.min() > MASKED)


def _energy(values: Array) -> float:
    return float(np.square(values).sum(dtype=np.float64))
