"""Edits per unit of truth: what word and character error rates share."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optkit.arrays import Array
from optkit.metrics import SetMetric
from optkit.metrics._sequences import edits, read_pairs


class ErrorRate(SetMetric):
    """Edits of all examples over units of truth of all examples, so that long examples count for more."""

    unit = "ratio"
    better = "lower"
    summary = "ratio"
    needs = "labels"

    def __init__(self, output: str | None = None, blank: int | None = None) -> None:
        super().__init__(output)
        self.blank = blank
        """The class that CTC leaves out, -1 for the last; None where the model gives text or ids."""

    def parts(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> list[Array]:
        pairs = zip(*read_pairs(self.name, outputs, labels, self.output, self.blank), strict=True)
        return [np.array([edits(self._units(read), units := self._units(truth)), len(units)], np.float64) for read, truth in pairs]

    def _units(self, sequence: Any) -> Sequence[Any]:
        return self.split(sequence) if isinstance(sequence, str) else sequence

    @abstractmethod
    def split(self, text: str) -> Sequence[str]:
        """The units of a text."""
