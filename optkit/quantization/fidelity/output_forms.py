"""What an output of a model is, as far as its graph and its values tell: probabilities, scores, scores beside other numbers, or numbers."""

from collections.abc import Container, Sequence

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array

RESHAPING = frozenset({"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "ReduceMean"})
"""What comes out means what went in: a mean of probabilities is one too."""
PICKING = RESHAPING | {"Transpose", "Slice", "Gather", "Concat"}
CARRYING = PICKING - {"ReduceMean"} | {"Split", "Pad"}
YES_OR_NO = frozenset({"Sigmoid", "HardSigmoid"})
"""Each number is a probability of its own."""
SQUASHING = YES_OR_NO | {"Softmax"}
NO_ANSWERS = frozenset({"GRU", "LSTM", "RNN", "Tanh", "LayerNormalization", "LpNormalization", "BatchNormalization"})
"""What ends in one of these is a vector of features or a state: its largest element says nothing."""
ENOUGH = 16
"""Examples that tell what numbers an output never gives."""
LIST = 3
"""Axes of an output with numbers for a list of places, at least."""
IMAGE = 4
"""Axes from which an output is a map of something: which axis holds classes, and whether any does, only a Softmax tells."""


def form_of(value: ir.Value, through: Container[str] = RESHAPING) -> str:
    """The operator that shaped an output, seen through reshapes and into branches that agree: Softmax and Sigmoid give probabilities."""
    node = _maker(value, through)
    if node is not None and node.op_type == "If":
        place = list(node.outputs).index(_source(value, through))
        forms = {form_of(node.attributes[name].as_graph().outputs[place], through) for name in ("then_branch", "else_branch")}
        return forms.pop() if len(forms) == 1 else ""
    return node.op_type if node is not None else ""


def ends_of(value: ir.Value) -> frozenset[str]:
    """The operators whose values an output is put together from; an empty name stands for an input of the graph."""
    waiting, seen, ends = [value], {value}, set()
    while waiting:
        node = waiting.pop().producer()
        if node is None or node.op_type not in CARRYING:
            ends.add(node.op_type if node is not None else "")
            continue
        for each in node.inputs if node.op_type == "Concat" else node.inputs[:1]:
            if each is not None and each not in seen:
                seen.add(each)
                waiting.append(each)
    return frozenset(ends)


def holds_scores(value: ir.Value) -> bool:
    """Whether a part of an output is what a Sigmoid or its like gives, and another part is not."""
    ends = ends_of(value)
    return bool(ends & SQUASHING) and bool(ends - SQUASHING)


def is_many_scores(value: ir.Value, answer: Array) -> bool:
    """Whether an output, of which this is an example's answer, holds probabilities of their own for many places: a map, the scores of a
    detector, or one for each piece of time.
    """
    many = answer.ndim >= LIST or (is_open(value) and answer.shape[-1:] > (1,))
    return many and ends_of(value) <= YES_OR_NO


def is_open(value: ir.Value) -> bool:
    """Whether the last axis of an output may have any length: of classes there are as many every time."""
    return value.shape is None or not len(value.shape) or not isinstance(value.shape[-1], int)


def class_axis(value: ir.Value, rank: int) -> int | None:
    """Along which axis, from the end, the largest number of an output may be its answer; None where none is.

    Maps of logits cannot be told from pictures and features, so of them only what a Softmax gives holds answers.
    """
    if is_features(value) or rank == 0 or (rank == 1 and is_open(value)):
        return None
    node = _maker(value, ("Identity", "Cast"))
    if node is not None and node.op_type == "Softmax" and "axis" in node.attributes:
        axis = node.attributes["axis"].as_int()
        return axis if axis < 0 else axis - rank
    return -1 if rank < IMAGE or (node is not None and node.op_type == "Softmax") else None


def is_features(value: ir.Value) -> bool:
    """Whether an output is a vector of features or a state."""
    return form_of(value, PICKING) in NO_ANSWERS


def are_amounts(values: Sequence[Array] | Array) -> bool:
    """Whether all numbers of many examples are above zero, and some above one: grades, sizes, prices, which are no classes' scores.

    Logits of classes lie on both sides of zero, and probabilities below one.
    """
    if len(values) < ENOUGH or any(v.dtype.kind != "f" or not v.size for v in values):
        return False
    return min(float(v.min()) for v in values) > 0 and max(float(v.max()) for v in values) > 1


def adds_up(values: Array) -> bool:
    """Whether the last axis holds probabilities that add up to one."""
    if values.dtype.kind != "f" or not values.ndim or values.shape[-1] < 2 or not np.isfinite(values).all():
        return False
    return bool((values >= 0).all() and np.allclose(values.sum(axis=-1), 1, atol=1e-3))


def _source(value: ir.Value, through: Container[str]) -> ir.Value:
    """The value that one is a reshape of."""
    node = value.producer()
    while node is not None and node.op_type in through and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _maker(value: ir.Value, through: Container[str]) -> ir.Node | None:
    return _source(value, through).producer()
