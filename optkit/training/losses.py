"""What answers cost, held against labels."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from optkit.errors import DataError, UsageError
from optkit.registry import suggestion
from optkit.training.batches import Batch
from optkit.training.functions import find_function
from optkit.training.validating import Loss

if TYPE_CHECKING:
    import torch

IGNORED = -1
"""The label that stands for none, where sequences are filled up."""


def cross_entropy(answer: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Mean of -log softmax(answer)[label], natural logarithm. Classes lie on the last axis, or on axis 1 where the labels fit only so;
    labels of the answer's shape are shares of classes. Labels of -1 count nothing.
    """
    import torch

    if labels.is_floating_point() and labels.shape == answer.shape:
        return torch.nn.functional.cross_entropy(answer.reshape(-1, answer.shape[-1]).float(), labels.reshape(-1, labels.shape[-1]))
    labels = labels.long()
    if labels.dim() == 2 and labels.shape[1] == 1 and answer.dim() == 2:
        labels = labels[:, 0]
    if labels.shape == answer.shape[:-1]:
        scores = answer.reshape(-1, answer.shape[-1])
    elif answer.dim() > 2 and labels.shape == (answer.shape[0], *answer.shape[2:]):
        scores = answer.movedim(1, -1).reshape(-1, answer.shape[1])
    else:
        raise _misfit("cross_entropy", answer, labels, "one class number for every row of scores")
    flat = labels.reshape(-1)
    low, high = int(flat.min()), int(flat.max())
    if low < IGNORED or high >= scores.shape[1]:
        what = f"label {low if low < IGNORED else high} is no class of the model, which has {scores.shape[1]} (0 to {scores.shape[1] - 1})"
        raise DataError(what, hint="number the labels from 0 in the order of the model's classes")
    return torch.nn.functional.cross_entropy(scores.float(), flat, ignore_index=IGNORED)


def binary_cross_entropy(answer: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Mean of -log of the probability sigmoid(answer) given to labels 0 and 1; for several labels each, or one score per example."""
    import torch

    return torch.nn.functional.binary_cross_entropy_with_logits(*_alike("binary_cross_entropy", answer, labels))


def mean_squared_error(answer: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Mean of (answer - label)²."""
    import torch

    return torch.nn.functional.mse_loss(*_alike("mean_squared_error", answer, labels))


LOSSES: Mapping[str, Callable[[Any, Any], Any]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mean_squared_error": mean_squared_error,
}


def label_loss(word: str | None, output: str | None, folder: str | None = None) -> Loss:
    """The loss against labels that a word names: one of `LOSSES`, `module:function` called as f(outputs, labels), or what suits them.

    Whole labels are classes, where an answer has several values; other numbers are values to be met. Raises UsageError.
    """
    if word is not None and ":" in word:
        return _own(word, find_function(word, "it is called as f(outputs, labels)", folder))
    if word is not None and word not in LOSSES:
        raise UsageError(f"no loss is called {word!r}", hint=f"{suggestion(word, LOSSES)}; or module:function")

    def loss(answers: "Mapping[str, torch.Tensor]", batch: Batch) -> "torch.Tensor":
        if batch.labels is None:
            raise DataError("training needs labels, and the data has none", hint="add an array 'labels' with the truth of every example")
        answer = answer_among(answers, output)
        chosen = LOSSES[word] if word is not None else _suiting(answer, batch.labels)
        made: torch.Tensor = chosen(answer, batch.labels)
        return made

    return loss


def answer_among(answers: "Mapping[str, torch.Tensor]", output: str | None) -> "torch.Tensor":
    """The output asked for, or the only one, or the first floating-point one. Raises UsageError."""
    if output is not None:
        if output not in answers:
            raise UsageError(f"the model has no output {output!r}", hint=suggestion(output, answers))
        return answers[output]
    found = [each for each in answers.values() if each.is_floating_point()]
    if not found:
        raise UsageError("it has no output of numbers that could be trained", hint="let forward return the scores")
    return found[0]


def _suiting(answer: "torch.Tensor", labels: "torch.Tensor") -> Callable[[Any, Any], Any]:
    if not labels.is_floating_point():
        if answer.shape[-1] > 1 and answer.dim() > 1:
            return cross_entropy
        hint = "say loss: binary_cross_entropy, mean_squared_error, or module:function"
        raise UsageError("whole numbers as labels for one value per example: are they classes or values?", hint=hint)
    return mean_squared_error


def _own(word: str, function: Callable[..., Any]) -> Loss:
    def loss(answers: "Mapping[str, torch.Tensor]", batch: Batch) -> "torch.Tensor":
        import torch

        try:
            found = function(dict(answers), batch.labels)
        except Exception as error:  # the user's function may raise anything
            what = f"it raised {type(error).__name__}: {' '.join(str(error).split())}"
            raise UsageError(what, where=word, hint="it is called as f(outputs, labels) with tensors") from error
        if not isinstance(found, torch.Tensor) or not (found.requires_grad or not torch.is_grad_enabled()):
            raise UsageError(
                "it gave nothing that weights could be learned from", where=word, hint="return a tensor computed from the outputs"
            )
        return found.mean()

    return loss


def _alike(loss: str, answer: "torch.Tensor", labels: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    if answer.shape[0] != labels.shape[0] or answer.numel() != labels.numel():
        raise _misfit(loss, answer, labels, "a number for every value of the answer")
    return answer.float(), labels.reshape(answer.shape).float()


def _misfit(loss: str, answer: "torch.Tensor", labels: "torch.Tensor", wants: str) -> DataError:
    what = f"{loss} wants {wants}: the answer is {list(answer.shape)}, the labels are {list(labels.shape)}"
    return DataError(what, hint="name the output that the labels are for with output, or choose another loss")
