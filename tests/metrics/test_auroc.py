import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from optkit.arrays import Array
from optkit.errors import DataError, UsageError
from optkit.metrics import find_metric

AUROC = find_metric("auroc")


def case(seed: int) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    labels = np.r_[0, 1, random.integers(0, 2, 20)]
    return random.normal(size=(22, 2)).round(1).astype(np.float32), labels


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_two_classes_are_ordered_as_their_probability(seed: int) -> None:
    logits, labels = case(seed)
    exact = logits.astype(np.float64)
    odds = np.exp(exact[:, 1] - exact[:, 0])
    assert roc_auc_score(labels, AUROC.score({"y": logits}, labels)) == pytest.approx(roc_auc_score(labels, odds / (1 + odds)))


@pytest.mark.parametrize("shape", [(22,), (22, 1), (22, 1, 1)])
def test_one_value_is_the_score(shape: tuple[int, ...]) -> None:
    scores, labels = case(0)[0][:, 0], case(0)[1]
    np.testing.assert_array_equal(AUROC.score({"y": scores.reshape(shape)}, labels), scores)


def test_a_state_after_the_score_is_not_the_answer() -> None:
    outputs = {"output": np.array([[0.7]], np.float32), "state": np.zeros((1, 2, 1, 128), np.float32)}
    assert AUROC.score(outputs, np.array([1])).tolist() == pytest.approx([0.7])


def test_the_labels_are_kept_for_the_summary() -> None:
    assert AUROC.summary == "auroc"
    assert find_metric("top1").summary == "mean"


def test_several_classes() -> None:
    with pytest.raises(UsageError, match=r"auroc wants one score or two classes per example; output 'y' is float32 \[2, 3\]"):
        AUROC.score({"y": np.zeros((2, 3), np.float32)}, np.array([0, 1]))


@pytest.mark.parametrize("labels", [np.array([0, 2]), np.array([-1, 1]), np.array([[0, 1], [1, 0]]), np.array(["no", "yes"]), None])
def test_labels_that_are_not_zero_and_one(labels: Array | None) -> None:
    with pytest.raises(DataError) as caught:
        AUROC.score({"y": np.zeros((2, 1), np.float32)}, labels)
    assert caught.value.hint
