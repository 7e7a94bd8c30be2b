"""What a language model says of each next token."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError
from optkit.metrics._answer import answer_of, check_rows, is_float, unsuitable

NEAR_ONE = 0.01
"""Numbers from 0 on that sum to 1 within this are probabilities, else logits."""


def next_tokens(metric: str, outputs: Mapping[str, Array], labels: Array | None, wanted: str | None) -> list[tuple[Array, Array]]:
    """For each example the scores [tokens, vocabulary] and the right tokens, where there is one: labels below 0 do not count.

    `labels[i, t]` is the token that the scores at position t should foretell: the text shifted by one, not the input itself.
    """
    answer = answer_of(outputs, wanted)
    if labels is None:
        hint = "add an array 'labels': for each position the token that comes next, -1 where none counts"
        raise DataError(f"{metric} needs labels, and the data has none", hint=hint)
    check_rows(metric, labels, len(answer))
    if not is_float(answer) or answer.ndim not in (2, 3):
        raise unsuitable(metric, "scores [n, tokens, vocabulary]", outputs, wanted)
    scores = answer.reshape(len(answer), -1, answer.shape[-1])
    tokens = labels.reshape(len(labels), -1)
    if labels.dtype.kind not in "iu" or tokens.shape != scores.shape[:2]:
        what = f"{metric} wants a token for each position of the answer {list(answer.shape)}, the labels are {list(labels.shape)}"
        hint = "labels[i, t] is the token after position t; -1 fills up where there is none"
        raise DataError(what if labels.dtype.kind in "iu" else f"{metric} wants token numbers, not {labels.dtype.name}", hint=hint)
    if tokens.max(initial=0) >= scores.shape[2]:
        raise DataError(f"token {tokens.max()} is none of the model's {scores.shape[2]}", hint="use the model's own tokenizer")
    return [(row[kept], truth[kept].astype(np.int64)) for row, truth, kept in zip(scores, tokens, tokens >= 0, strict=True)]


def surprise(scores: Array, tokens: Array) -> Array:
    """−ln of the probability of each right token, from logits, log-probabilities or probabilities."""
    scores = scores.astype(np.float64)
    own = np.take_along_axis(scores, tokens[:, None], axis=1)[:, 0]
    probabilities = (scores.min(axis=1, initial=0) >= 0) & (np.abs(scores.sum(axis=1) - 1) < NEAR_ONE)
    peak = scores.max(axis=1, keepdims=True, initial=-np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.log(np.exp(scores - peak).sum(axis=1)) + peak[:, 0]
        found: Array = np.where(probabilities, -np.log(own / scores.sum(axis=1)), whole - own)
    return found
