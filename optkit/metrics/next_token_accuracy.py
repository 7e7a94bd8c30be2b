"""How often a language model foretells the next token."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.metrics import SetMetric
from optkit.metrics._tokens import next_tokens


class NextTokenAccuracy(SetMetric):
    """The share of all tokens of all examples that have the highest score (the first of equals); labels as for perplexity."""

    name = "next_token_accuracy"
    unit = "ratio"
    better = "higher"
    summary = "ratio"
    needs = "labels"

    def parts(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> list[Array]:
        rows = next_tokens(self.name, outputs, labels, self.output)
        return [np.array([_right(scores, tokens), len(tokens)], np.float64) for scores, tokens in rows]


def _right(scores: Array, tokens: Array) -> int:
    return int(((scores.argmax(axis=1) == tokens) & ~np.isnan(scores).any(axis=1)).sum()) if len(tokens) else 0
