"""A histogram whose range grows with the data: counts are merged exactly, so one pass over the examples is enough.

The width of a bin is a power of two, so that the counts depend on the values alone, not on their order or how they came in batches.
"""

import math
from collections.abc import Callable

import numpy as np

from optkit.arrays import Array

BINS = 4096
NARROWEST = -120
"""Of widths, as a power of two: the inverse of a narrower one leaves float32."""
AT_A_TIME = 1 << 15
"""Values: these and what is computed of them stay in the processor's cache."""


class Histogram:
    """Counts of one tensor's values in equal bins around zero, with its exact minimum and maximum."""

    def __init__(self) -> None:
        self.low = np.inf
        self.high = -np.inf
        self.width = 0.0
        self.counts = np.zeros(BINS, np.int64)
        self.total = 0
        self.zeros = 0
        """Exact zeros: every grid holds zero, so they cost nothing and are kept apart."""
        self.finite = True

    def add(self, values: Array) -> None:
        """Fold in the values of one batch."""
        flat = values.ravel()
        for start in range(0, flat.size, AT_A_TIME):
            self._fold(flat[start : start + AT_A_TIME])

    def _fold(self, flat: Array) -> None:
        low, high = float(flat.min()), float(flat.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            self.finite = False
            flat = flat[np.isfinite(flat)]
            if not flat.size:
                return
            low, high = float(flat.min()), float(flat.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.total += flat.size
        self._reach(max(abs(low), abs(high)))
        if self.width:
            places = (flat * np.float32(1 / self.width)).astype(np.int32)
            places += BINS // 2
            self.counts += np.bincount(places, minlength=BINS)
        self.zeros += int(np.count_nonzero(flat == 0)) if low <= 0 <= high else 0

    def through(self, function: Callable[[Array], Array]) -> "Histogram":
        """What would be seen after an increasing `function`: extremes exactly, every other value as the middle of its bin."""
        seen = Histogram()
        if not self.total:
            return seen
        middles, counts = self.centres()
        before = np.array([self.low, self.high, 0.0, *middles.clip(self.low, self.high)], np.float64)
        low, high, of_zero, *rest = function(before).astype(np.float32).tolist()
        seen.low, seen.high, seen.total, seen.finite = low, high, self.total, self.finite
        seen._reach(max(abs(low), abs(high)))
        after = np.array([of_zero, *rest])
        counts = np.array([self.zeros if self.width else self.total, *counts])
        seen.zeros = int(counts[after == 0].sum())
        if seen.width:
            np.add.at(seen.counts, (after / seen.width).astype(np.int32) + BINS // 2, counts)
        return seen

    def _reach(self, peak: float) -> None:
        """Make bins wide enough for `peak`: neighbours merge, two into one, as often as it takes."""
        if peak <= 0.0:
            return
        if not self.width:
            self.width = 2.0 ** max(math.ceil(math.log2(peak / (BINS // 2 - 1))), NARROWEST)
            self.counts[BINS // 2] = self.zeros
        half = BINS // 2
        while peak > self.width * (half - 1):
            merged = np.zeros_like(self.counts)
            centred = np.arange(BINS) - half
            np.add.at(merged, np.trunc(centred / 2).astype(int) + half, self.counts)
            self.counts, self.width = merged, self.width * 2

    def centres(self) -> tuple[Array, Array]:
        """The middle of every bin that is not empty, and its count; exact zeros are left out.

        Bins cut towards zero, as the fold does: bin 0 covers both sides of zero.
        """
        counts = self.counts.copy()
        counts[BINS // 2] -= self.zeros if self.width else 0
        places = np.arange(BINS) - BINS // 2
        middles = (places + 0.5 * np.sign(places)) * self.width
        seen = counts > 0
        return middles[seen], counts[seen]
