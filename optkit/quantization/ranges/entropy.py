"""The range that keeps the distribution's shape."""

import numpy as np

from optkit.quantization.affine import grid_for
from optkit.quantization.histogram import Histogram


class Entropy:
    """Least Kullback–Leibler divergence between the values and their quantized form (Migacz, GTC 2017), cut evenly on both sides."""

    cuts = np.linspace(1.0, 0.05, 96)
    fewest_bins = 128
    """A cut that leaves fewer is not tried: a handful of bins always keeps its shape. The paper starts there as well."""

    def range_of(self, seen: Histogram) -> tuple[float, float]:
        values, counts = seen.centres()
        if not len(values):
            return seen.low, seen.high
        low, high = min(seen.low, 0.0), max(seen.high, 0.0)
        peak = max(-low, high)
        scored = []
        for cut in self.cuts:
            bounds = max(low, -cut * peak), min(high, cut * peak)
            if cut < 1 and np.count_nonzero((values >= bounds[0]) & (values <= bounds[1])) < self.fewest_bins:
                break
            scored.append((self._divergence(values, counts, *bounds), *bounds))
        _, low, high = min(scored)
        return low, high

    def _divergence(self, values: np.ndarray, counts: np.ndarray, low: float, high: float) -> float:
        """Each level's mass, spread evenly over the bins it took in, against the true bins with the outliers folded into the ends."""
        grid = grid_for(low, high)
        inside = (values >= low) & (values <= high)
        if not inside.any():
            return np.inf
        true = counts[inside].astype(float)
        true[0] += counts[values < low].sum()
        true[-1] += counts[values > high].sum()
        level = np.clip(np.rint(values[inside] / grid.scale) + grid.zero_point, 0, 255).astype(int)
        mass = np.bincount(level, weights=counts[inside], minlength=256)
        bins = np.bincount(level, minlength=256)
        spread = mass[level] / bins[level]
        p, q = true / true.sum(), spread / spread.sum()
        return float((p * np.log(p / q)).sum())
