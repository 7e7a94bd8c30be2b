"""Scores beside other numbers, as in the head of a detector: channels that stay within 0 and 1 next to boxes that reach 640.

What counts of scores is which of them are high. A class that never shows keeps scores of a thousandth, and its noise harms nobody; nor
does the noise of a box where nothing is found. Some heads hold beside the classes how likely there is anything at all: what such a
score says and what a class says are multiplied, and where there is nothing the classes are at random.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from optkit.arrays import Array
from optkit.quantization.fidelity.boxes import Reading, reading_of, same_boxes
from optkit.quantization.fidelity.output_forms import LIST

HIGH = 0.25
"""What detectors usually take for a find."""
FEWEST = 20
"""High scores that must be seen: of fewer, one more or less decides."""
TOGETHER = 0.5
"""Share of the first score's finds where another is high too, from which it says that there is anything: classes exclude each other."""

MOSTLY = 0.5
"""Share of the places that the background of a detector takes, or of the values of an output that are high where it is a gain."""


@dataclass(frozen=True)
class ScoreChannels:
    """Which channels along an axis are scores, and which are other numbers."""

    axis: int
    which: Array
    rest: Array
    gated: bool = False
    """Whether the first of them says how likely there is anything."""
    reading: Reading | None = None
    """How the other numbers are boxes, if they are; or those in another output."""
    boxes: str | None = None
    """The output of the boxes for the same places, where that is another one."""

    def of(self, values: Array) -> Array:
        """The scores among values: [positions, classes]."""
        scores = self._rows(values)[:, self.which]
        return scores[:, 1:] * scores[:, :1] if self.gated else scores

    def others(self, values: Array) -> Array:
        """The other numbers: [positions, channels]."""
        return self._rows(values)[:, self.rest]

    def finds(self, values: Array) -> Array:
        """At which positions a score is high: there the other numbers are an answer, elsewhere nobody reads them."""
        return np.asarray((self.of(values) > HIGH).any(axis=-1))

    def matched(self, truth: Array, got: Array, boxes: tuple[Array, Array] | None = None) -> "Matched":
        """How many high scores agree, and have the same box where they have one; `boxes` are those of another output."""
        one, other = (self.others(truth), self.others(got)) if boxes is None else boxes
        expected, found = self.of(truth) > HIGH, self.of(got) > HIGH
        same = expected & found
        if len(same) and one.shape == other.shape:
            same &= self._same_box(truth, one.reshape(len(same), -1), other.reshape(len(same), -1))[:, None]
        return Matched(int(expected.sum()), int(found.sum()), int(same.sum()))

    def _same_box(self, truth: Array, truth_boxes: Array, got_boxes: Array) -> Array:
        """At which positions what was found has the same box, if it has one."""
        found = self.finds(truth)
        if self.reading is not None and found.any():
            found[found] = same_boxes(self.reading(truth_boxes[found]), self.reading(got_boxes[found]))
        return found

    def _rows(self, values: Array) -> Array:
        rows = np.moveaxis(values, self.axis, -1)
        return rows.reshape(-1, rows.shape[-1])


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
            found = ScoreChannels(axis, which, ~which)
            found = replace(found, gated=_is_gated([found.of(a) for a in answers]))
            return replace(found, reading=reading_of(np.concatenate([found.others(a)[found.finds(a)] for a in answers])))
    return None


def only_scores(answers: Sequence[Array], but: int | None = None) -> ScoreChannels | None:
    """All channels of an output that holds nothing but scores, save the one `but`, if enough of them are high to tell."""
    if not answers or len({a.shape[-1] for a in answers}) > 1:
        return None
    which = np.arange(answers[0].shape[-1]) != (-1 if but is None else but)
    if sum(int((a[..., which] > HIGH).sum()) for a in answers) < FEWEST:
        return None
    return ScoreChannels(-1, which, np.zeros(len(which), bool))


def are_gains(answers: Sequence[Array]) -> bool:
    """Whether most values of a list of probabilities are high: then it is what something is multiplied with, such as a denoiser's mask,
    and every value is an answer. Whoever looks for things finds nothing at most places; a picture's map may be full of them.
    """
    values = sum(a.size for a in answers)
    return answers[0].ndim == LIST and sum(int((a > HIGH).sum()) for a in answers) > MOSTLY * values


def background_of(answers: Sequence[Array]) -> int | None:
    """The class that most places have, of classes [examples, places, classes], where that is next to all: nothing is there."""
    counts = sum(np.bincount(a.argmax(axis=-1).reshape(-1), minlength=a.shape[-1]) for a in answers)
    return int(np.argmax(counts)) if np.max(counts) > MOSTLY * np.sum(counts) else None


def _is_gated(scores: Sequence[Array]) -> bool:
    first = np.concatenate([s[:, 0] > HIGH for s in scores])
    rest = np.concatenate([(s[:, 1:] > HIGH).any(axis=-1) for s in scores])
    return bool(first.sum() >= FEWEST and rest[first].mean() >= TOGETHER)


class Matched(NamedTuple):
    """High scores of the truth, of what is held against it, and of both alike."""

    expected: int
    found: int
    both: int


class ScoreAgreement:
    """How well the high scores agree: F1 of one set against the other, gathered over examples."""

    def __init__(self) -> None:
        self.expected = self.found = self.both = 0

    def add(self, matched: Matched) -> None:
        """Fold in one example."""
        self.expected += matched.expected
        self.found += matched.found
        self.both += matched.both

    def value(self) -> float | None:
        """Between 0 and 1; None where too few scores are high to tell."""
        return 2 * self.both / (self.expected + self.found) if self.expected >= FEWEST else None
