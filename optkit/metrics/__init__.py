"""Outputs and answers to one score per example. One file a metric; the file name is its word."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import numpy as np

from optkit.errors import UsageError
from optkit.metrics._answer import Array, answer_of, class_axis
from optkit.registry import import_named, load, members, suggestion
from optkit.samples import Better

__all__ = ["Array", "Metric", "default_metrics", "fidelity_metrics", "find_metric"]

SYNONYMS = {
    "accuracy": "top1",
    "acc": "top1",
    "auc": "auroc",
    "roc_auc": "auroc",
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "cosine_similarity": "cosine",
    "snr": "sqnr",
}
"""Other names people use; they are shown as a hint, one word per metric stays."""


class Metric(ABC):
    """Scores one batch of outputs, an example at a time.

    The first axis of every output, of the labels and of the reference is the examples; for examples that are whole feeds
    (`Examples.whole`), whose outputs may have any shape, put an axis of length 1 in front: `{k: v[None] for k, v in outputs.items()}`.
    The score of an example does not depend on the others in its batch.
    """

    name: str
    unit: str
    """As in `Samples.unit`."""
    better: Better
    summary: Literal["mean", "auroc"] = "mean"
    """How the scores become one number. For `auroc` the labels go into `Samples.labels`."""
    needs: Literal["labels", "reference"]
    """What a score is taken against: the truth, or the outputs of the original model (fidelity)."""

    def __init__(self, output: str | None = None) -> None:
        self.output = output
        """The output that carries the answer; None lets the metric find it."""

    @abstractmethod
    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        """One score per example, float64 [n].

        Raises UsageError when no output, or none clearly, carries the answer, DataError when the labels do not fit it.
        """


def find_metric(word: str, output: str | None = None) -> Metric:
    """The metric that a word or `module:function` names, reading the answer from `output`. Raises UsageError when there is none."""
    from optkit.metrics._function import FunctionMetric

    if ":" in word:
        return FunctionMetric(word, import_named(word), output)
    if word in SYNONYMS and word not in members("metrics"):
        raise UsageError(f"no metric is called {word!r}", hint=f"did you mean {SYNONYMS[word]!r}? {suggestion('', members('metrics'))}")
    member = load("metrics", word)
    if isinstance(member, type):
        metric: Metric = member(output)
        return metric
    return FunctionMetric(word, member, output)


def fidelity_metrics(output: str | None = None) -> tuple[Metric, ...]:
    """What says how far a model is from the original without any labels."""
    return tuple(find_metric(word, output) for word in ("agreement", "cosine", "sqnr"))


def default_metrics(labels: Array | None, outputs: Mapping[str, Array], output: str | None = None) -> tuple[Metric, ...]:
    """What to measure when nothing is asked for; `outputs` is what the original model gives for some of the examples.

    With one class number per example: top1, or auroc where the answer is one score and the classes are 0 and 1. With numbers, as
    many per example as the answer has: mean_absolute_error. Always the fidelity metrics, and nothing else where the labels fit no
    metric, such as sequences of ids.
    """
    word = None if labels is None else _suiting(labels, answer_of(outputs, output))
    return (*((find_metric(word, output),) if word else ()), *fidelity_metrics(output))


def _suiting(labels: Array, answer: Array) -> str | None:
    width = answer[0].size
    if labels.dtype.kind in "biu":
        if labels[0].size > 1:
            return None
        if class_axis(answer) is not None or answer.dtype.kind in "iu":
            return "top1"
        if width == 1:
            return "auroc" if np.isin(labels, (0, 1)).all() else "mean_absolute_error"
        return None
    return "mean_absolute_error" if labels.dtype.kind == "f" and labels[0].size == width else None
