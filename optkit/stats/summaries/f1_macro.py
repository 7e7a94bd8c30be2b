"""F1, every class counting alike."""

from optkit.arrays import Array
from optkit.stats.summaries import divide
from optkit.stats.summaries._class_counts import ClassCounts, mean_where_known


class F1Macro(ClassCounts):
    """The mean over classes of 2·TP / (2·TP + FP + FN)."""

    def made_of(self, right: Array, wrong: Array, missed: Array) -> Array:
        return mean_where_known(divide(2 * right, 2 * right + wrong + missed))
