"""What noise at the outputs of a classifier costs, without labels.

An answer changes where the noise exceeds its margin, the lead of the first class over the second. Counting changes takes many
examples; but noise hardly depends on which example it falls on, so every noise that was seen is held against every margin that was
seen, which tells shares of a hundredth from a few dozen examples. A changed answer costs what the float model gives the first class
more than the second: where both are as likely, nothing is lost on average. Of a sequence the position that costs most counts, since
one wrong character makes a wrong line.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

POSITIONS = 2048
"""Per example at most, evenly spaced: an image has a million pixels."""
AT_ONCE = 1 << 20


class AnswerCost:
    """Margins, what they are worth and noise, gathered over examples of one output; classes lie along its last axis."""

    def __init__(self) -> None:
        self.examples: list[tuple[Array, Array]] = []
        """Of each: margins, and the probability that is lost where the second class is answered."""
        self.noise: list[Array] = []

    def add(self, truth: Array, got: Array) -> None:
        """Fold in one feed; logits [examples, …, classes] of one shape."""
        for expected, found in zip(truth, got, strict=True):
            self._fold(_spread(expected), _spread(found))

    def _fold(self, truth: Array, got: Array) -> None:
        known = np.isfinite(truth).all(axis=-1) & np.isfinite(got).all(axis=-1)
        truth, got = truth[known], got[known]
        if not len(truth):
            return
        first, second = np.argpartition(-truth, 1, axis=-1)[:, :2].T
        rows = np.arange(len(truth))
        margin = truth[rows, first] - truth[rows, second]
        likely = np.exp(truth - truth.max(axis=-1, keepdims=True))
        worth = (likely[rows, first] - likely[rows, second]) / likely.sum(axis=-1)
        self.examples.append((margin, worth))
        self.noise.append(got[rows, first] - got[rows, second] - margin)

    def changed(self) -> float:
        """Share of answers that change, positions of a sequence each counted."""
        chances = self._chances()
        return float(np.mean(np.concatenate(chances))) if chances else 0.0

    def cost(self) -> float | None:
        """Share of examples whose answer is lost, by the float model's own confidence; None where there are no answers."""
        lost = [float((p * worth).max()) for p, (_, worth) in zip(self._chances(), self.examples, strict=True)]
        return float(np.mean(lost)) if lost else None

    def _chances(self) -> list[Array]:
        """How likely each answer is to change."""
        if not self.noise:
            return []
        noise = np.sort(np.concatenate(self.noise))
        return [np.searchsorted(noise, -margin) / len(noise) for margin, _ in self.examples]


def _spread(values: Array) -> Array:
    """Positions of one example as rows, some of them where there are many."""
    rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
    return rows[:: -(-len(rows) // POSITIONS)]
