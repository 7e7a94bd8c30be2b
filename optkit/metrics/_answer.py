"""Which output carries the answer, and how its axes are read."""

from collections.abc import Mapping

import numpy as np

from optkit.arrays import Array
from optkit.errors import DataError, UsageError
from optkit.registry import suggestion

SEVERAL = "exact_match, word_error_rate, character_error_rate, f1_macro, mean_iou, perplexity, next_token_accuracy or module:function"
"""Metrics of examples that have several labels each."""


def answer_name(outputs: Mapping[str, Array], wanted: str | None) -> str:
    """The output that carries the answer: the one asked for, or the only one, or the first floating-point one.

    Classifiers that give the label first and then the probabilities are read by their probabilities, recurrent models by what
    they give before their state. Raises UsageError when several outputs are left and none is floating-point.
    """
    if wanted is not None:
        if wanted not in outputs:
            raise UsageError(f"the model has no output {wanted!r}", where="--output", hint=suggestion(wanted, outputs))
        return wanted
    if len(outputs) == 1:
        return next(iter(outputs))
    for name, array in outputs.items():
        if is_float(array):
            return name
    raise UsageError("no single output carries the answer", hint=f"say which with --output NAME: {describe(outputs)}")


def decision_name(outputs: Mapping[str, Array], wanted: str | None) -> str:
    """The output that says what the model decided: that of the answer, or whole numbers beside it, one for each of its numbers.

    Readers of text and detectors that decide by themselves give ids and, in an output of the same shape, how sure they are of each.
    """
    name = answer_name(outputs, wanted)
    if wanted is not None or not is_float(outputs[name]) or outputs[name].ndim < 2:
        return name
    return next((other for other, array in outputs.items() if array.dtype.kind in "iu" and array.shape == outputs[name].shape), name)


def answer_of(outputs: Mapping[str, Array], wanted: str | None) -> Array:
    """The array of the answer, its first axis being the examples. Raises UsageError."""
    return np.asarray(outputs[answer_name(outputs, wanted)])


def class_axis(answer: Array) -> int | None:
    """The axis with the scores of the classes, where an example has one row of scores: the only axis longer than 1 of its own.

    [n, C] and [n, C, 1, 1] have it; [n], [n, 1], integers and answers with several positions have none.
    """
    if not is_float(answer):
        return None
    long = [axis for axis in range(1, answer.ndim) if answer.shape[axis] > 1]
    return long[0] if len(long) == 1 else None


def class_scores(answer: Array) -> Array | None:
    """[n, C] out of any shape that has a class axis."""
    return None if class_axis(answer) is None else answer.reshape(len(answer), -1)


def positions(answer: Array) -> Array:
    """[n, positions, values]: the values of each position are the scores of the classes there, or one number.

    [n] is one number, [n, C] one row of scores, [n, T, C] a row for each position. From four axes on, images are
    [n, C, height, width] or [n, height, width, C]: the shorter of the second and the last axis holds the classes.
    """
    n = len(answer)
    if answer.ndim < 3:
        return answer.reshape(n, 1, -1)
    if answer.ndim > 3:
        if class_axis(answer) is not None:
            return answer.reshape(n, 1, -1)
        if answer.shape[1] <= answer.shape[-1]:
            answer = np.moveaxis(answer, 1, -1)
    return answer.reshape(n, int(np.prod(answer.shape[1:-1])), answer.shape[-1])


def pair(outputs: Mapping[str, Array], reference: Mapping[str, Array] | None, wanted: str | None) -> tuple[Array, Array]:
    """The answer of a model and of the original. Raises UsageError when the model lacks the output, DataError when shapes differ."""
    if reference is None:
        raise DataError("a fidelity metric needs the outputs of the original model", hint="compare two models")
    name = answer_name(reference, wanted)
    if name not in outputs:
        what = f"the original answers with output {name!r}, which the other model does not have"
        common = outputs.keys() & reference.keys()
        hint = "name one that both have with --output" if common else "outputs go by their names: export one with those of the other"
        raise UsageError(what, hint=f"{hint}; the other has {describe(outputs)}")
    answer, truth = np.asarray(outputs[name]), np.asarray(reference[name])
    if answer.shape != truth.shape:
        what = f"output {name!r} is {list(answer.shape)}, that of the original {list(truth.shape)}: their answers cannot be compared"
        raise DataError(what, hint="compare models with the same outputs, or name another one with --output")
    return answer, truth


def unsuitable(metric: str, wants: str, outputs: Mapping[str, Array], wanted: str | None) -> UsageError:
    """The answer has not the shape that a metric reads."""
    name = answer_name(outputs, wanted)
    what = f"{metric} wants {wants}; output {name!r} is {_shape(outputs[name])}"
    others = {key: array for key, array in outputs.items() if key != name}
    hint = (
        f"name another output with --output: {describe(others)}" if others else "choose another metric with --metric, or none for fidelity"
    )
    return UsageError(what, hint=hint)


def one_label_each(metric: str, labels: Array | None, rows: int) -> Array:
    """Labels as a vector [n]. Raises DataError when there are none, too few or many, or several for one example."""
    if labels is None:
        raise DataError(f"{metric} needs labels, and the data has none", hint="add an array 'labels' with one value per example")
    check_rows(metric, labels, rows)
    if labels[:1].size != 1:
        what = f"{metric} wants one label per example, the data has {labels[0].size} ({list(labels.shape)})"
        raise DataError(what, hint=f"for several: --metric {SEVERAL}; or leave --metric out for fidelity")
    return labels.reshape(rows)


def check_rows(metric: str, labels: Array, rows: int) -> None:
    """As many labels as examples."""
    if len(labels) != rows:
        hint = "the first axis of the answer must be the examples; name the output that carries it with --output"
        raise DataError(f"{metric} got {len(labels)} labels for {rows} answers", hint=hint)


def is_float(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def describe(outputs: Mapping[str, Array]) -> str:
    return ", ".join(f"{name} ({_shape(array)})" for name, array in outputs.items())


def _shape(array: Array) -> str:
    return f"{'text' if array.dtype.kind in 'OUS' else array.dtype.name} {list(array.shape)}"
