"""mean_squared_error and mean_absolute_error."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, mean_squared_error

from optkit.errors import DataError
from optkit.metrics import find_metric

ORACLES: dict[str, Any] = {"mean_squared_error": mean_squared_error, "mean_absolute_error": mean_absolute_error}


@pytest.mark.parametrize("word", ORACLES)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), width=st.integers(1, 5))
def test_the_mean_is_that_of_scikit_learn(word: str, seed: int, width: int) -> None:
    random = np.random.default_rng(seed)
    answer, labels = random.normal(size=(7, width)).astype(np.float32), random.normal(size=(7, width))
    scores = find_metric(word).score({"y": answer}, labels)
    assert scores.shape == (7,)
    assert scores.mean() == pytest.approx(ORACLES[word](labels, answer))


@pytest.mark.parametrize("word", ORACLES)
def test_labels_without_the_axis_of_the_answer(word: str) -> None:
    scores = find_metric(word).score({"y": np.array([[1], [2]], np.float32)}, np.array([3, 2]))
    assert scores.tolist() == [{"mean_squared_error": 4, "mean_absolute_error": 2}[word], 0]


def test_less_is_better() -> None:
    assert {find_metric(word).better for word in ORACLES} == {"lower"}


@pytest.mark.parametrize("word", ORACLES)
@pytest.mark.parametrize("labels", [None, np.zeros(3), np.zeros((2, 4)), np.array(["a", "b"])])
def test_labels_that_do_not_fit(word: str, labels: Any) -> None:
    with pytest.raises(DataError) as caught:
        find_metric(word).score({"y": np.zeros((2, 1), np.float32)}, labels)
    assert str(caught.value).startswith(word)
    assert caught.value.hint
