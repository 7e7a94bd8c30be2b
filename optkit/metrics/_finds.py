"""How well what a model finds agrees with what the original finds."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from optkit.arrays import Array
from optkit.metrics import SetMetric
from optkit.metrics._answer import pair

if TYPE_CHECKING:
    from optkit.quantization.fidelity.score_channels import ScoreChannels


class Finds(SetMetric):
    """Agreement of models that give scores for many places, such as detectors, maps and transcribers: F1 of the high scores.

    2 × those that both give, with boxes that overlap by half where they have boxes, over all of the one and all of the other, counted
    over all examples. The largest score of a place is no answer there: at most places nothing is found.
    """

    name = "agreement"
    unit = "ratio"
    better = "higher"
    summary = "ratio"
    needs = "reference"

    def __init__(self, scores: "Mapping[str, ScoreChannels]") -> None:
        super().__init__()
        self.scores = scores
        """Output → where its scores are."""

    def parts(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> list[Array]:
        """Of each example, twice the scores that are high in both, and those of the one and of the other."""
        rows = []
        for name, scores in self.scores.items():
            got, truth = pair(outputs, reference, name)
            boxes = None if scores.boxes is None else pair(outputs, reference, scores.boxes)[::-1]
            rows.append([_counts(scores, truth, got, boxes, slice(i, i + 1)) for i in range(len(truth))])
        return list(np.sum(rows, axis=0))

    def alone(self, parts: Sequence[Array]) -> Array:
        """1 where nothing is found in either."""
        return np.array([over / under if under else 1.0 for over, under in parts])


def _counts(scores: "ScoreChannels", truth: Array, got: Array, boxes: tuple[Array, Array] | None, row: slice) -> tuple[float, float]:
    matched = scores.matched(truth[row], got[row], None if boxes is None else (boxes[0][row], boxes[1][row]))
    return 2.0 * matched.both, float(matched.expected + matched.found)
