"""The range with the least squared error."""

import numpy as np

from optkit.quantization.affine import grid_for
from optkit.quantization.histogram import Histogram


def squared_error(values: np.ndarray, counts: np.ndarray, low: float, high: float) -> float:
    """Sum over all counted values of what the uint8 grid of a range takes from or adds to them, squared."""
    if high - low <= 0:
        return np.inf
    return float((counts * (values - grid_for(low, high).round_trip(values)) ** 2).sum())


class Mse:
    """Least mean squared error of rounding and clipping together, searched over cuts of both ends."""

    cuts = np.concatenate([np.linspace(1.0, 0.5, 26), np.geomspace(0.48, 0.02, 24)])

    def range_of(self, seen: Histogram) -> tuple[float, float]:
        values, counts = seen.centres()
        if not len(values):
            return seen.low, seen.high
        low, high = min(seen.low, 0.0), max(seen.high, 0.0)
        best = (squared_error(values, counts, low, high), low, high)
        for cut in self.cuts:  # both ends alike, then each end alone
            peak = cut * max(-low, high)
            best = min(best, self._candidate(values, counts, max(low, -peak), min(high, peak)))
        for cut in self.cuts:
            best = min(best, self._candidate(values, counts, best[1], cut * high))
        for cut in self.cuts:
            best = min(best, self._candidate(values, counts, cut * low, best[2]))
        return best[1], best[2]

    def _candidate(self, values: np.ndarray, counts: np.ndarray, low: float, high: float) -> tuple[float, float, float]:
        return squared_error(values, counts, low, high), low, high
