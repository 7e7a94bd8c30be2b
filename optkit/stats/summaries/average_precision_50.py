"""Mean average precision at one IoU."""

from typing import ClassVar

from optkit.stats.summaries.average_precision import AveragePrecision


class AveragePrecision50(AveragePrecision):
    """Average precision at the first threshold, an IoU of one half."""

    thresholds: ClassVar[int] = 1
