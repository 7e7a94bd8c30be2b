"""Perplexity."""

import numpy as np

from optkit.arrays import Array
from optkit.stats.summaries.ratio import Ratio


class Perplexity(Ratio):
    """exp(Σ first / Σ second) of rows of two numbers: the surprise of the right tokens in nats, and how many they are."""

    def of(self, sums: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.exp(super().of(sums))
