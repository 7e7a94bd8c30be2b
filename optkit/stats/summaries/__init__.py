"""One number of a set of examples that is no mean of their scores. One file a summary; `Samples.summary` names it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from optkit.arrays import Array
from optkit.registry import load

Rows = Sequence[Sequence[float] | Array] | Array

PLAIN = ("mean", "median")
"""Summaries of the scores themselves, which numpy knows."""


class Summary(ABC):
    """What `values`, `parts` and `labels` of a set of examples come to, under any weights of the examples.

    A bootstrap draw is a set of weights: how often each example was drawn. `parts` holds a row for each example, which the metric and
    the summary have agreed on.
    """

    draws: ClassVar[int] = 2000
    """Bootstrap draws that it is quick enough for."""

    @abstractmethod
    def __init__(self, values: Array, parts: Rows, labels: Array) -> None: ...

    @abstractmethod
    def under(self, weights: Array) -> Array:
        """[draws], for weights [draws, examples]; NaN where a draw has no such number."""

    @property
    def width(self) -> int:
        """Numbers held for each draw, besides the weights."""
        return 0


class Additive(Summary):
    """A number made of sums over the examples: only the sums are computed anew for each draw."""

    moments: Any
    """[examples, k], what each example adds to the sums: an array, or a sparse one of scipy."""

    @abstractmethod
    def of(self, sums: Array) -> Array:
        """[draws], for sums [draws, k]."""

    def under(self, weights: Array) -> Array:
        return self.of(np.asarray(weights @ self.moments))

    @property
    def width(self) -> int:
        return int(self.moments.shape[1])


def make_summary(word: str, values: Array, parts: Rows = (), labels: Array | None = None) -> Summary:
    """The summary that `word` names, of these examples."""
    made: Summary = load("stats.summaries", word)(values, parts, np.empty(0) if labels is None else labels)
    return made


def summarize(word: str, values: Array, parts: Rows = (), labels: Array | None = None) -> float:
    """The number that a set of examples comes to; NaN where there is none."""
    if word in PLAIN:
        return float(np.median(values) if word == "median" else np.mean(values))
    return float(make_summary(word, values, parts, labels).under(np.ones((1, len(values))))[0])


def divide(over: Array, under: Array) -> Array:
    """over / under, NaN where under is 0."""
    over, under = np.broadcast_arrays(np.asarray(over, np.float64), np.asarray(under, np.float64))
    found: Array = np.divide(over, under, out=np.full(over.shape, np.nan), where=under != 0)
    return found
