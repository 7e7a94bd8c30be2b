"""F1 of all answers together."""

from optkit.arrays import Array
from optkit.stats.summaries import divide
from optkit.stats.summaries._class_counts import ClassCounts


class F1Micro(ClassCounts):
    """2·TP / (2·TP + FP + FN), the counts being summed over classes."""

    def made_of(self, right: Array, wrong: Array, missed: Array) -> Array:
        right, wrong, missed = (each.sum(axis=1) for each in (right, wrong, missed))
        return divide(2 * right, 2 * right + wrong + missed)
