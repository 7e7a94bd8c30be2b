"""Outputs and answers to one score per example. One file a metric; the file name is its word."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from optkit.arrays import Array
from optkit.errors import UsageError
from optkit.metrics._answer import answer_of, class_axis, decision_name
from optkit.registry import import_named, load, members, plugins, suggestion
from optkit.samples import Better
from optkit.stats.summaries import Additive, make_summary

__all__ = ["Array", "Metric", "SetMetric", "answer_of", "decision_name", "default_metrics", "fidelity_metrics", "find_metric", "is_metric"]

TEXT = "OUS"
"""Kinds of arrays that hold text."""
SYNONYMS = {
    "accuracy": "top1",
    "acc": "top1",
    "auc": "auroc",
    "roc_auc": "auroc",
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "cosine_similarity": "cosine",
    "snr": "sqnr",
    "f1": "f1_macro",
    "wer": "word_error_rate",
    "cer": "character_error_rate",
    "map": "mean_average_precision",
    "miou": "mean_iou",
    "iou": "mean_iou",
    "ppl": "perplexity",
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
    summary: str = "mean"
    """How the scores become one number: `mean` or a word of `optkit.stats.summaries`. For `auroc` the labels go into `Samples.labels`."""
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


class SetMetric(Metric):
    """A metric of all examples together that is no mean of their scores, such as F1 or a word error rate.

    `parts` gives what its summary needs of each example; from these it is computed anew for every bootstrap draw.
    """

    @abstractmethod
    def parts(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> list[Array]:
        """A row of numbers for each example, as its summary wants them. Raises like `score`."""

    def score(self, outputs: Mapping[str, Array], labels: Array | None = None, reference: Mapping[str, Array] | None = None) -> Array:
        return self.alone(self.parts(outputs, labels, reference))

    def alone(self, parts: Sequence[Array]) -> Array:
        """What each example has by itself, for pictures: by default the summary of that one example, 0 where it has none."""
        summary = make_summary(self.summary, np.zeros(len(parts)), parts)
        if isinstance(summary, Additive):
            moments = summary.moments
            return np.nan_to_num(summary.of(moments if isinstance(moments, np.ndarray) else moments.toarray()))
        return np.nan_to_num(summary.under(np.eye(len(parts))))


def find_metric(word: str, output: str | None = None) -> Metric:
    """The metric that a word or `module:function` names, reading the answer from `output`. Raises UsageError when there is none."""
    from optkit.metrics._function import FunctionMetric
    from optkit.metrics._parameters import parameterized

    if ":" in word:
        return FunctionMetric(word, import_named(word), output)
    made = parameterized(word, output)
    if made is not None:
        return made
    if not is_metric(word):
        raise unknown_metric(word)
    member = load("metrics", word)
    if isinstance(member, type):
        metric: Metric = member(output)
        return metric
    return FunctionMetric(word, member, output)


def is_metric(word: str) -> bool:
    """Whether a word without a colon names a metric."""
    from optkit.metrics._parameters import takes

    return word in (*members("metrics"), *plugins("metrics")) or takes(word)


def unknown_metric(word: str) -> UsageError:
    """No metric is called so; the nearest is named, and what there is."""
    known = (*members("metrics"), *plugins("metrics"))
    ours = SYNONYMS.get(word.lower())
    near = f"did you mean {ours!r}? {suggestion('', known)}" if ours else suggestion(word, known)
    more = "any topK; _ctc behind an error rate or exact_match decodes CTC; module:function"
    return UsageError(f"no metric is called {word!r}", hint=f"{near}; {more}")


def fidelity_metrics(output: str | None = None) -> tuple[Metric, ...]:
    """What says how far a model is from the original without any labels."""
    return tuple(find_metric(word, output) for word in ("agreement", "cosine", "sqnr"))


def default_metrics(labels: Array | None, outputs: Mapping[str, Array], output: str | None = None) -> tuple[Metric, ...]:
    """What to measure when nothing is asked for; `outputs` is what the original model gives for some of the examples.

    With one class number per example: top1, or auroc where the answer is one score and the classes are 0 and 1. With numbers, as
    many per example as the answer has: mean_absolute_error. With text where the answer is text: exact_match. Always the fidelity
    metrics, and nothing else where the labels fit no metric, such as sequences of ids. Of text they are agreement alone; a single
    number has no direction, whose cosine would always be 1.
    """
    answer = answer_of(outputs, output)
    word = None if labels is None else _suiting(labels, answer)
    fidelity = fidelity_metrics(output) if answer.dtype.kind not in TEXT else (find_metric("agreement", output),)
    if int(np.prod(answer.shape[1:])) == 1:
        fidelity = tuple(metric for metric in fidelity if metric.name != "cosine")
    return (*((find_metric(word, output),) if word else ()), *fidelity)


def _suiting(labels: Array, answer: Array) -> str | None:
    width = int(np.prod(answer.shape[1:]))
    if answer.dtype.kind in TEXT:
        return "exact_match" if labels.dtype.kind in TEXT and labels[0].size == width == 1 else None
    if labels.dtype.kind in "biu":
        if labels[0].size > 1:
            return None
        if class_axis(answer) is not None or answer.dtype.kind in "iu":
            return "top1"
        if width == 1:
            return "auroc" if np.isin(labels, (0, 1)).all() else "mean_absolute_error"
        return None
    return "mean_absolute_error" if labels.dtype.kind == "f" and labels[0].size == width and not np.isnan(labels).any() else None
