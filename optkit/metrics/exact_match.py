"""Whole sequences that are right."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.metrics import Metric
from optkit.metrics._sequences import read_pairs


class ExactMatch(Metric):
    """1 where the whole text, or the whole sequence of ids, is that of the label, else 0.

    Labels are text, or ids [examples, length] with -1 behind the end. `exact_match_ctc` decodes scores [n, time, classes] greedily.
    """

    name = "exact_match"
    unit = "ratio"
    better = "higher"
    needs = "labels"

    def __init__(self, output: str | None = None, blank: int | None = None) -> None:
        super().__init__(output)
        self.blank = blank

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        pairs = zip(*read_pairs(self.name, outputs, labels, self.output, self.blank), strict=True)
        return np.array([read == truth for read, truth in pairs], np.float64)
