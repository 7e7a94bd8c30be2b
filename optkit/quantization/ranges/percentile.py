"""All but the rarest values."""

import numpy as np

from optkit.quantization.histogram import BINS, Histogram


class Percentile:
    """The range that holds 99.999 % of the values, cut evenly on both sides."""

    share = 0.99999

    def range_of(self, seen: Histogram) -> tuple[float, float]:
        if not seen.width:
            return seen.low, seen.high
        below = np.cumsum(seen.counts) / seen.total
        tail = (1 - self.share) / 2
        first = int(np.searchsorted(below, tail, side="right"))
        last = int(np.searchsorted(below, 1 - tail, side="left"))
        edge = BINS // 2
        return max(seen.low, (first - edge - 1) * seen.width), min(seen.high, (last - edge + 1) * seen.width)
