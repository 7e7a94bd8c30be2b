import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from optkit.arrays import Array
from optkit.errors import DataError, OptkitError, UsageError
from optkit.metrics import find_metric

TOP1, TOP5 = find_metric("top1"), find_metric("top5")


@st.composite
def scored(draw: st.DrawFn, smallest: int = 2) -> tuple[Array, Array]:
    """Scores without ties, in an order drawn, and labels."""
    n, classes = draw(st.integers(1, 20)), draw(st.integers(smallest, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    return random.permuted(np.tile(np.arange(classes, dtype=np.float32), (n, 1)), axis=1), random.integers(0, classes, n)


@settings(max_examples=25)
@given(scored())
def test_its_mean_is_the_accuracy_of_scikit_learn(case: tuple[Array, Array]) -> None:
    scores, labels = case
    assert TOP1.score({"y": scores}, labels).mean() == pytest.approx(accuracy_score(labels, scores.argmax(1)))


@settings(max_examples=25)
@given(scored(smallest=6))
def test_top5_is_that_of_scikit_learn(case: tuple[Array, Array]) -> None:
    scores, labels = case
    expected = top_k_accuracy_score(labels, scores, k=5, labels=np.arange(scores.shape[1]))
    assert TOP5.score({"y": scores}, labels).mean() == pytest.approx(expected)


@settings(max_examples=25)
@given(hnp.arrays(np.float32, (6, 4), elements=st.sampled_from([0.0, 1.0])), hnp.arrays(np.int64, 6, elements=st.integers(0, 3)))
def test_of_equal_scores_the_first_wins_as_in_numpy(scores: Array, labels: Array) -> None:
    np.testing.assert_array_equal(TOP1.score({"y": scores}, labels), scores.argmax(1) == labels)


def test_a_constant_answer_does_not_have_every_label_among_its_best_five() -> None:
    assert TOP5.score({"y": np.zeros((10, 10), np.float32)}, np.arange(10)).tolist() == [1] * 5 + [0] * 5


def test_nan_is_never_right() -> None:
    scores = np.array([[0, np.nan, 1], [0, 2, 1]], np.float32)
    assert TOP1.score({"y": scores}, np.array([1, 1])).tolist() == [0, 1]


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 1, 1), (3, 1, 1, 4), (3, 1, 4), (3, 4, 1)])
def test_axes_of_length_one_do_not_matter(shape: tuple[int, ...]) -> None:
    scores = np.eye(4, dtype=np.float32)[[2, 0, 1]].reshape(shape)
    assert TOP1.score({"y": scores}, np.array([2, 0, 3])).tolist() == [1, 1, 0]


def test_probabilities_are_read_and_not_the_label_before_them() -> None:
    outputs = {"label": np.array([9, 9]), "probabilities": np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)}
    assert TOP1.score(outputs, np.array([0, 1])).tolist() == [1, 1]


def test_an_integer_output_is_the_class() -> None:
    outputs = {"label": np.array([[4], [9]]), "probabilities": np.zeros((2, 10), np.float32)}
    assert find_metric("top1", "label").score(outputs, np.array([4, 8])).tolist() == [1, 0]


@pytest.mark.parametrize("labels", [np.array([[0], [1]]), np.array([0.0, 1.0]), np.array([False, True]), np.array([0, 1], np.uint8)])
def test_class_numbers_of_any_type(labels: Array) -> None:
    assert TOP1.score({"y": np.eye(2, dtype=np.float32)}, labels).tolist() == [1, 1]


BAD_LABELS = [
    (None, "top1 needs labels, and the data has none"),
    (np.array([0, 1, 1]), "top1 got 3 labels for 2 answers"),
    (np.array([[3, 1, -1], [2, -1, -1]]), "top1 wants one label per example, the data has 3 ([2, 3])"),
    (np.array([0, 4]), "label 4 is no class of the model, which has 4 (0 to 3)"),
    (np.array([0, -1]), "label -1 is no class of the model, which has 4 (0 to 3)"),
    (np.array([0.5, 1]), "top1 wants class numbers as labels, the data has fractions"),
    (np.array(["cat", "dog"]), "top1 wants class numbers as labels, the data has text"),
]


@pytest.mark.parametrize(("labels", "what"), BAD_LABELS)
def test_labels_that_do_not_fit(labels: Array | None, what: str) -> None:
    with pytest.raises(DataError) as caught:
        TOP1.score({"y": np.eye(4, dtype=np.float32)[:2]}, labels)
    assert caught.value.what == what
    assert caught.value.hint


BAD_OUTPUTS: list[tuple[dict[str, Array], str | None, str, str]] = [
    (
        {"y": np.zeros((2, 5, 7), np.float32)},
        None,
        "top1 wants one row of class scores per example; output 'y' is float32 [2, 5, 7]",
        "choose another metric with --metric, or none for fidelity",
    ),
    (
        {"boxes": np.zeros((2, 5, 4), np.float32), "scores": np.zeros((2, 5), np.float32)},
        None,
        "top1 wants one row of class scores per example; output 'boxes' is float32 [2, 5, 4]",
        "name another output with --output: scores (float32 [2, 5])",
    ),
    (
        {"a": np.zeros((2, 5), np.int64), "b": np.zeros((2, 5), np.int64)},
        None,
        "no single output carries the answer",
        "say which with --output NAME: a (int64 [2, 5]), b (int64 [2, 5])",
    ),
    ({"logits": np.zeros((2, 5), np.float32)}, "logit", "the model has no output 'logit'", "did you mean 'logits'? known: logits"),
]


@pytest.mark.parametrize(("outputs", "wanted", "what", "hint"), BAD_OUTPUTS)
def test_outputs_that_do_not_fit(outputs: dict[str, Array], wanted: str | None, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_metric("top1", wanted).score(outputs, np.array([0, 1]))
    assert (caught.value.what, caught.value.hint) == (what, hint)


def test_top5_of_five_classes_says_nothing() -> None:
    with pytest.raises(OptkitError, match="with 5 classes top5 is always right"):
        TOP5.score({"y": np.zeros((1, 5), np.float32)}, np.array([0]))
