"""Mean intersection over union, for segmentation."""

from collections.abc import Mapping

from optkit.arrays import Array
from optkit.metrics import SetMetric
from optkit.metrics._classes import class_counts, class_pairs


class MeanIou(SetMetric):
    """The mean over classes of the pixels that answer and label have in common, over those that either has, counted over all examples.

    Labels are class numbers [n, height, width]; negative ones, and 255 where they are one byte each, do not count. Answers are class
    numbers of that shape, or scores [n, classes, height, width] or [n, height, width, classes].
    """

    name = "mean_iou"
    unit = "ratio"
    better = "higher"
    summary = "mean_iou"
    needs = "labels"

    def parts(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> list[Array]:
        return class_counts(class_pairs(self.name, outputs, labels, self.output))
