"""Mean intersection over union."""

from optkit.arrays import Array
from optkit.stats.summaries import divide
from optkit.stats.summaries._class_counts import ClassCounts, mean_where_known


class MeanIou(ClassCounts):
    """The mean over classes of TP / (TP + FP + FN), the counts being positions (Everingham et al. 2010, the PASCAL VOC challenge)."""

    def made_of(self, right: Array, wrong: Array, missed: Array) -> Array:
        return mean_where_known(divide(right, right + wrong + missed))
