"""What is said of calibration examples beside evaluation examples."""

import numpy as np
import pytest

from optkit.datasets import Array, Examples
from optkit.plan.data_doubts import data_doubts, shared_examples


def examples(whole: bool = False, **arrays: Array) -> Examples:
    return Examples("a test", arrays, whole=whole)


def draw(count: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=(count, 3, 8)).astype(np.float32)


def test_nothing_is_said_of_two_draws_from_one_source() -> None:
    assert data_doubts(examples(x=draw(60, 0)), examples(x=draw(200, 1))) == []


@pytest.mark.parametrize("whole", [False, True])
def test_shared_examples_are_counted(whole: bool) -> None:
    first, second = draw(20, 0), draw(30, 1)
    second[[3, 4, 29]] = first[[7, 7, 0]]
    calibration, evaluation = examples(whole, x=first), examples(whole, x=second)
    assert shared_examples(calibration, evaluation) == 3
    (said,) = data_doubts(calibration, evaluation)
    assert said.startswith("3 of 30 evaluation examples are calibration examples too")


def test_all_inputs_of_an_example_count() -> None:
    ids = np.arange(5)[:, None]
    same = np.zeros((5, 2), np.float32)
    assert shared_examples(examples(a=ids, b=same), examples(a=ids + 3, b=same)) == 2
    text = np.array([["one"], ["two"]], object)
    assert shared_examples(examples(t=text), examples(t=np.array([["two"], ["six"]], object))) == 1


@pytest.mark.parametrize("change", [lambda x: x * 255, lambda x: x / 4, lambda x: x + 10, lambda x: x - 10])
def test_inputs_prepared_in_another_way(change: object) -> None:
    assert callable(change)
    (said,) = data_doubts(examples(x=draw(60, 0)), examples(x=change(draw(60, 1))))
    assert said.startswith("x lies in -2.")
    assert said.endswith("prepare both alike, or what lies outside is cut off")


def test_integers_and_single_outliers_are_no_reason() -> None:
    values = draw(60, 1)
    values[0, 0, 0] = 1e6
    calibration = examples(x=draw(60, 0), ids=np.arange(60))
    assert data_doubts(calibration, examples(x=values, ids=np.arange(60) + 10_000)) == []
