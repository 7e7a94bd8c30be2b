"""Everything that was seen."""

from optkit.quantization.histogram import Histogram


class MinMax:
    """The smallest and the largest value: nothing is clipped, one outlier widens every step."""

    def range_of(self, seen: Histogram) -> tuple[float, float]:
        return seen.low, seen.high
