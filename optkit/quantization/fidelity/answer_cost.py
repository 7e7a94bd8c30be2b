"""What noise at the outputs of a classifier costs, without labels.

An answer changes where the noise exceeds its margin, the lead of the first class over the second. Counting changes takes many
examples; but noise hardly depends on which example it falls on, so every noise that was seen is held against every margin that was
seen, which tells shares of a hundredth from a few dozen examples. A changed answer costs what the float model gives the first class
more than the second: where both are as likely, nothing is lost on average. Of a sequence the position that costs most counts, since
one wrong character makes a wrong line; and a line can only be lost as far as the float model expects all the rest of it to be right.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from optkit.arrays import Array

POSITIONS = 2048
"""Per example at most, evenly spaced: an image has a million pixels."""
WHOLE = 0.1
"""Share of sequences that the float model expects to get right as a whole, from which they count as a whole: who writes text or
segments images is never right at every position, and judged by each.
"""


@dataclass(frozen=True)
class Margins:
    """The answers of one example: where they lie, by how much they lead, and the probability that is lost if the second is given."""

    step: int
    """Every so many positions one is looked at."""
    known: Array
    """Which of these positions are finite; the rest is of those alone."""
    first: Array
    second: Array
    margin: Array
    worth: Array
    rest: Array
    """How likely all other positions are right."""
    whole: float
    """How likely all are."""


def margins_of(truth: Array) -> list[Margins]:
    """Of every example of one feed; logits [examples, …, classes]."""
    return [_margins(each) for each in truth]


def _margins(values: Array) -> Margins:
    rows, step = _spread(values)
    known = np.asarray(np.isfinite(rows).all(axis=-1))
    rows = rows[known].astype(np.float64)
    first, second = np.argpartition(-rows, 1, axis=-1)[:, :2].T if len(rows) else np.zeros((2, 0), np.int64)
    each = np.arange(len(rows))
    likely = np.exp(rows - rows.max(axis=-1, keepdims=True)) if len(rows) else rows
    total = likely.sum(axis=-1)
    worth = (likely[each, first] - likely[each, second]) / total
    sure = likely[each, first] / total
    logs = np.log(sure)
    rest = np.exp(step * logs.sum() - logs)
    return Margins(step, known, first, second, rows[each, first] - rows[each, second], worth, rest, float(np.exp(step * logs.sum())))


class AnswerCost:
    """Margins, what they are worth and noise, gathered over examples of one output; classes lie along its last axis."""

    def __init__(self) -> None:
        self.examples: list[tuple[Array, Array, Array]] = []
        """Of each: margins, the probability that is lost where the second class is answered, and that all the rest is right."""
        self.whole: list[float] = []
        self.noise: list[Array] = []

    def add(self, truth: Array | Sequence[Margins], got: Array, logits: Callable[[Array], Array] = np.asarray) -> None:
        """Fold in one feed: logits [examples, …, classes], or what `margins_of` says of them, and answers that `logits` turns into such."""
        for margins, found in zip(margins_of(truth) if isinstance(truth, np.ndarray) else truth, got, strict=True):
            rows = found.reshape(-1, found.shape[-1])[:: margins.step][margins.known]
            each = np.arange(len(rows))
            firsts, seconds = (logits(rows[each, which]).astype(np.float64) for which in (margins.first, margins.second))
            sure = np.isfinite(rows).all(axis=-1)
            if sure.any():
                self.examples.append((margins.margin[sure], margins.worth[sure], margins.rest[sure]))
                self.whole.append(margins.whole)
                self.noise.append((firsts - seconds - margins.margin)[sure])

    def changed(self) -> float:
        """Share of answers that change, positions of a sequence each counted."""
        chances = self._chances()
        return float(np.mean(np.concatenate(chances))) if chances else 0.0

    def cost(self) -> float | None:
        """Share of examples whose answer is lost, by the float model's own confidence; None where there are no answers."""
        if not self.examples:
            return None
        as_one = float(np.mean(self.whole)) >= WHOLE
        held = zip(self._chances(), self.examples, strict=True)
        return float(np.mean([(p * worth * (rest if as_one else 1)).max() for p, (_, worth, rest) in held]))

    def _chances(self) -> list[Array]:
        """How likely each answer is to change."""
        if not self.noise:
            return []
        noise = np.sort(np.concatenate(self.noise))
        return [np.searchsorted(noise, -margin) / len(noise) for margin, *_ in self.examples]


def _spread(values: Array) -> tuple[Array, int]:
    """Positions of one example as rows, some of them where there are many; and every how many."""
    rows = values.reshape(-1, values.shape[-1])
    step = max(1, -(-len(rows) // POSITIONS))
    return rows[::step], step
