"""For each tensor the method that suits it."""

from optkit.quantization.histogram import Histogram
from optkit.quantization.ranges.entropy import Entropy
from optkit.quantization.ranges.min_max import MinMax
from optkit.quantization.ranges.mse import Mse, squared_error
from optkit.quantization.ranges.percentile import Percentile


class Auto:
    """Of what the other methods find, the range with the least squared error on the values that were seen."""

    methods = (MinMax, Percentile, Entropy, Mse)

    def range_of(self, seen: Histogram) -> tuple[float, float]:
        values, counts = seen.centres()
        if not len(values):
            return seen.low, seen.high
        found = [method().range_of(seen) for method in self.methods]
        return min(found, key=lambda r: squared_error(values, counts, min(r[0], 0.0), max(r[1], 0.0)))
