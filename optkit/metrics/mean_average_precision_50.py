"""Mean average precision of detections at an overlap of one half, AP50."""

from optkit.metrics.mean_average_precision import MeanAveragePrecision


class MeanAveragePrecision50(MeanAveragePrecision):
    """AP averaged over classes at an overlap (IoU) of .50, over all images, as COCO computes it; outputs as for mean_average_precision."""

    name = "mean_average_precision_50"
    summary = "average_precision_50"
