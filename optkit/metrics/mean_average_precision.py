"""Mean average precision of detections, COCO's AP@[.5:.95]."""

from collections.abc import Mapping, Sequence

import numpy as np

from optkit.arrays import Array
from optkit.metrics import SetMetric
from optkit.metrics._box_matching import matched
from optkit.metrics._boxes import detections, true_boxes


class MeanAveragePrecision(SetMetric):
    """AP averaged over classes and over overlaps (IoU) of .50, .55, … .95, over all images, as COCO computes it; no crowds.

    Outputs, after non-maximum suppression: boxes [n, K, 4] with scores [n, K] and classes [n, K], found by their names, or scores
    [n, K, classes]; or one output [n, K, 6] of box, score and class. Boxes are two corners. Rows with a score of 0 or less or a negative
    class are not used. Labels are [n, M, 5]: box and class, in the order and unit of the model's boxes, class -1 filling up.
    """

    name = "mean_average_precision"
    unit = "ratio"
    better = "higher"
    summary = "average_precision"
    needs = "labels"

    def parts(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> list[Array]:
        found = detections(self.name, outputs)
        truth = true_boxes(self.name, labels, len(found))
        return [matched(*each) for each in zip(found, truth, strict=True)]

    def alone(self, parts: Sequence[Array]) -> Array:
        """The share of true boxes that were found at an IoU of .5; 1 where there is none to find."""
        return np.array([_recall(row) for row in parts])


def _recall(row: Array) -> float:
    past = 1 + 2 * int(row[0])
    wanted = row[2:past:2].sum()
    classes = row[1:past:2]
    found = row[past:].reshape(-1, 3)
    right = (found[:, 2].astype(np.int64) & 1)[np.isin(found[:, 1], classes)].sum()
    return float(right / wanted) if wanted else 1.0
