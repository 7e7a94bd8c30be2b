"""Perplexity of a language model."""

from collections.abc import Mapping, Sequence

import numpy as np

from optkit.arrays import Array
from optkit.metrics import SetMetric
from optkit.metrics._tokens import next_tokens, surprise


class Perplexity(SetMetric):
    """exp of the mean surprise −ln p(token) over all tokens of all examples; 1 is foreseeing everything.

    The answer is logits or probabilities [n, tokens, vocabulary]; `labels[i, t]` is the token that comes after position t, -1 where none
    counts.
    """

    name = "perplexity"
    unit = ""
    better = "lower"
    summary = "perplexity"
    needs = "labels"

    def parts(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> list[Array]:
        rows = next_tokens(self.name, outputs, labels, self.output)
        return [np.array([surprise(scores, tokens).sum(), len(tokens)]) for scores, tokens in rows]

    def alone(self, parts: Sequence[Array]) -> Array:
        """The mean surprise: an example that was not foreseen at all has no finite perplexity."""
        rows = np.asarray(parts, np.float64).reshape(-1, 2)
        return np.nan_to_num(rows[:, 0] / np.maximum(rows[:, 1], 1))
