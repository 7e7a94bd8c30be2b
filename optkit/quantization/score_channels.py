"""Scores beside other numbers, as in the head of a detector: channels that stay within 0 and 1 next to boxes that reach 640.

What counts of scores is which of them are high. A class that never shows keeps scores of a thousandth, and its noise harms nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

Array = np.ndarray[Any, np.dtype[Any]]

SQUASHING = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})
CARRYING = frozenset(
    {"Concat", "Reshape", "Transpose", "Slice", "Split", "Squeeze", "Unsqueeze", "Flatten", "Gather", "Identity", "Cast", "Pad"}
)
HIGH = 0.25
"""What detectors usually take for a find."""
FEWEST = 20
"""High scores that must be seen: of fewer, one more or less decides."""


@dataclass(frozen=True)
class ScoreChannels:
    """Which channels along an axis are scores."""

    axis: int
    which: Array

    def of(self, values: Array) -> Array:
        """The scores among values."""
        return np.compress(self.which, values, axis=self.axis)

    def others(self, values: Array) -> Array:
        """All but the scores."""
        return np.compress(~self.which, values, axis=self.axis)


def holds_scores(value: ir.Value) -> bool:
    """Whether a part of an output is what a Sigmoid or its like gives, and another part is not."""
    waiting, seen, ends = [value], {value}, set()
    while waiting:
        node = waiting.pop().producer()
        if node is None or node.op_type not in CARRYING:
            ends.add(node is not None and node.op_type in SQUASHING)
            continue
        for each in node.inputs if node.op_type == "Concat" else node.inputs[:1]:
            if each is not None and each not in seen:
                seen.add(each)
                waiting.append(each)
    return ends == {True, False}


def find_scores(answers: Sequence[Array]) -> ScoreChannels | None:
    """The channels that are scores, if an output holds such next to others."""
    if not answers or answers[0].ndim < 3 or any(a.ndim != answers[0].ndim for a in answers):
        return None
    for axis in dict.fromkeys((1, answers[0].ndim - 1)):
        if len({a.shape[axis] for a in answers}) > 1 or any(not a.size for a in answers):
            continue
        others = tuple(i for i in range(answers[0].ndim) if i != axis)
        low = np.min([a.min(axis=others) for a in answers], axis=0)
        high = np.max([a.max(axis=others) for a in answers], axis=0)
        which = (low >= 0) & (high <= 1)
        if 0 < which.sum() < len(which) and (high > 2).any():
            return ScoreChannels(axis, which)
    return None


class ScoreAgreement:
    """How well the high scores agree: F1 of one set against the other, gathered over examples."""

    def __init__(self) -> None:
        self.expected = self.found = self.both = 0

    def add(self, truth: Array, got: Array) -> None:
        """Fold in scores of one shape."""
        expected, found = truth > HIGH, got > HIGH
        self.expected += int(expected.sum())
        self.found += int(found.sum())
        self.both += int((expected & found).sum())

    def value(self) -> float | None:
        """Between 0 and 1; None where too few scores are high to tell."""
        return 2 * self.both / (self.expected + self.found) if self.expected >= FEWEST else None
