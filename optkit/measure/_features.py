"""Whether a model answers with features, a state or coordinates, whose largest number says nothing."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from optkit.arrays import Array
from optkit.quantization.fidelity.output_forms import adds_up, are_amounts, is_features

FEWEST_EXAMPLES = 16
FEWEST_NUMBERS = 10
"""Five points of a face; of fewer numbers classes that hardly vary look the same."""
ONE_PATTERN = 0.8
"""Of the energy about each example's mean. Points of faces and hands: 0.82 to 0.97; logits of classes: 0.04 to 0.34."""


def gives_features(outputs: Sequence[ir.Value], output: str | None) -> bool:
    """Of the output that carries the answer, named or the first with floating-point numbers, as far as an ONNX graph tells."""
    answers = [
        each for each in outputs if (each.dtype is not None and each.dtype.is_floating_point() if output is None else each.name == output)
    ]
    return bool(answers) and is_features(answers[0])


def are_numbers(answer: Array) -> bool:
    """Whether the largest of the numbers of answers [n, numbers] decides nothing.

    Amounts, such as grades, are so, and what is one pattern and little else, as the points of a face are: which is largest is part of
    the pattern. So are logits where nearly all examples are of one class, and then agreement says nothing either.
    """
    if answer.dtype.kind != "f" or sum(size > 1 for size in answer.shape[1:]) != 1 or len(answer) < FEWEST_EXAMPLES:
        return False
    if are_amounts(answer):
        return True
    rows = answer.reshape(len(answer), -1).astype(np.float64)
    if rows.shape[1] < FEWEST_NUMBERS or adds_up(rows):
        return False
    rows -= rows.mean(axis=1, keepdims=True)
    energy = float(np.square(rows).sum(axis=1).mean())
    return bool(np.isfinite(energy)) and float(np.square(rows.mean(axis=0)).sum()) > ONE_PATTERN * energy
