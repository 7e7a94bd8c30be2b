"""agreement, cosine and sqnr: what needs the original's outputs and no labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cosine as cosine_distance

from optkit.arrays import Array
from optkit.errors import DataError, UsageError
from optkit.metrics import Metric, fidelity_metrics, find_metric
from optkit.samples import FIDELITY

AGREEMENT, COSINE, SQNR = fidelity_metrics()
ALL = pytest.mark.parametrize("metric", fidelity_metrics(), ids=lambda metric: metric.name)

SHAPES = st.sampled_from([(4,), (4, 1), (4, 3), (4, 2, 3), (4, 5, 1), (4, 3, 2, 2), (4, 1, 2, 2), (4, 2, 2, 3)])
ANY = st.floats(width=32, allow_nan=True, allow_infinity=True)
OUTPUTS = SHAPES.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=ANY))


def against(metric: Metric, answer: Array, original: Array) -> list[float]:
    return metric.score({"y": answer}, None, {"y": original}).tolist()  # type: ignore[no-any-return]


@ALL
@settings(max_examples=25)
@given(original=OUTPUTS)
def test_a_model_is_as_good_as_itself(metric: Metric, original: Array) -> None:
    assert against(metric, original.copy(), original) == [FIDELITY[metric.name]] * len(original)


@ALL
@settings(max_examples=25)
@given(data=st.data())
def test_scores_stay_in_their_range_and_do_not_depend_on_the_batch(metric: Metric, data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    answer, original = (data.draw(hnp.arrays(np.float32, shape, elements=ANY)) for _ in range(2))
    scores = metric.score({"y": answer}, None, {"y": original})
    assert scores.shape == (4,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    lowest = {"agreement": 0, "cosine": -1, "sqnr": -120}[metric.name]
    assert lowest <= scores.min() <= scores.max() <= FIDELITY[metric.name]
    for i in range(4):
        one = slice(i, i + 1)
        assert against(metric, answer[one], original[one]) == pytest.approx([scores[i]], rel=1e-9)


@ALL
@pytest.mark.parametrize("values", [np.array([[1, 2]]), np.array([[True, False]]), np.array([["a", "b"]])])
def test_answers_that_are_no_fractions(metric: Metric, values: Array) -> None:
    assert against(metric, values, values.copy()) == [FIDELITY[metric.name]]
    other = values[:, ::-1]
    assert against(metric, other, values)[0] < FIDELITY[metric.name]


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_the_cosine_is_that_of_scipy(seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 5, 12)).astype(np.float32)
    expected = [1 - cosine_distance(x, y) for x, y in zip(a.astype(np.float64), b.astype(np.float64), strict=True)]
    assert against(COSINE, a, b) == pytest.approx(expected)


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1, 1e30])
@pytest.mark.parametrize(("error", "expected"), [(0.1, 20), (0.01, 40), (1, 0), (10, -20)])
def test_twenty_decibels_are_a_tenth(size: float, error: float, expected: float) -> None:
    original = np.full((1, 50), size)
    assert against(SQNR, original * (1 + error), original) == pytest.approx([expected], abs=1e-6)


def test_sqnr_and_cosine_of_nothing() -> None:
    zero, one, nan = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32), np.full((1, 3), np.nan, np.float32)
    assert against(SQNR, zero, zero) == [120]
    assert against(SQNR, one, zero) == [-120]
    assert against(SQNR, zero, one) == [0]
    assert against(SQNR, nan, one) == [-120]
    assert against(COSINE, zero, zero) == [1]
    assert against(COSINE, one, zero) == [0]
    assert against(COSINE, nan, one) == [0]


def test_what_is_infinite_in_both_is_left_out() -> None:
    original = np.array([[1, -np.inf, 2]], np.float32)
    close = np.array([[1.1, -np.inf, 2.2]], np.float32)
    assert against(COSINE, close, original) == pytest.approx([1])
    assert against(SQNR, close, original) == pytest.approx([20], abs=1e-4)
    assert against(SQNR, np.array([[1, 5, 2]], np.float32), original) == [-120]


def test_the_same_class_is_agreement() -> None:
    original = np.array([[0.1, 0.9, 0], [5, 4, 3], [0, 0, 1]], np.float32)
    assert against(AGREEMENT, np.array([[0.4, 0.5, 0.1], [4, 5, 3], [0, 0, 0.1]], np.float32), original) == [1, 0, 1]


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_sequences_agree_by_their_share_of_positions(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 3, (2, 4, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(against(AGREEMENT, a, b), (a.argmax(2) == b.argmax(2)).mean(1))


@pytest.mark.parametrize("channels_first", [True, False])
def test_the_classes_of_a_segmentation_are_its_shorter_axis(channels_first: bool) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 2, 8, 9, 3)).astype(np.float32)
    expected = (a.argmax(3) == b.argmax(3)).mean((1, 2))
    if channels_first:
        a, b = np.moveaxis(a, 3, 1), np.moveaxis(b, 3, 1)
    np.testing.assert_allclose(against(AGREEMENT, a, b), expected)


@pytest.mark.parametrize(
    ("answer", "original", "agree"),
    [
        (0.6, 0.99, True),
        (0.49, 0.51, False),
        (0.5, 0.0, True),
        (3.1, 3, True),
        (3.2, 3, False),
        (-2.05, -2, True),
        (2, -2, False),
        (1.01, 0.99, True),
        (1.2, 0.99, False),
        (np.nan, 0.5, False),
        (np.nan, np.nan, True),
        (np.inf, np.inf, True),
        (np.inf, 3, False),
    ],
)
def test_single_values(answer: float, original: float, agree: bool) -> None:
    for shape in [(1,), (1, 1), (1, 1, 1)]:
        assert against(AGREEMENT, np.full(shape, answer, np.float32), np.full(shape, original, np.float32)) == [float(agree)]


def test_several_single_values_agree_by_their_share() -> None:
    original = np.array([[[0.1], [0.9], [0.2], [0.8]]], np.float32)
    assert against(AGREEMENT, np.array([[[0.2], [0.7], [0.6], [0.9]]], np.float32), original) == [0.75]


def test_nan_is_another_answer() -> None:
    original = np.array([[1, 2, 3]], np.float32)
    assert against(AGREEMENT, np.array([[1, 2, np.nan]], np.float32), original) == [0]


@ALL
def test_the_answer_is_the_first_floating_point_output(metric: Metric) -> None:
    original = {"label": np.array([1]), "p": np.array([[0.2, 0.8]], np.float32), "state": np.array([[1.0, 2.0]])}
    changed = {"label": np.array([0]), "p": original["p"], "state": np.array([[-5.0, -9.0]])}
    assert metric.score(changed, None, original).tolist() == [FIDELITY[metric.name]]
    assert find_metric(metric.name, "state").score(changed, None, original)[0] < FIDELITY[metric.name]


def test_whole_numbers_beside_numbers_of_the_same_shape_are_the_answer() -> None:
    """A reader of text decides for ids by itself, and says how sure it was of each."""
    original = {"ids": np.array([[3, 0, 7], [5, 5, 0]]), "sure": np.array([[0.9, 0.8, 0.99], [0.6, 0.7, 0.5]], np.float32)}
    answer = {"ids": np.array([[3, 0, 2], [5, 5, 0]]), "sure": original["sure"]}
    assert AGREEMENT.score(answer, None, original).tolist() == pytest.approx([2 / 3, 1])
    assert find_metric("agreement", "sure").score(answer, None, original).tolist() == [1, 1]
    labels_first = {"label": np.array([1, 0]), "scores": np.array([[0.1, 0.9], [0.8, 0.2]], np.float32)}
    assert AGREEMENT.score({**labels_first, "label": np.array([0, 0])}, None, labels_first).tolist() == [1, 1]


@ALL
def test_what_cannot_be_compared(metric: Metric) -> None:
    one, two = {"y": np.zeros((2, 3), np.float32)}, {"y": np.zeros((2, 4), np.float32)}
    with pytest.raises(DataError, match="needs the outputs of the original"):
        metric.score(one)
    with pytest.raises(DataError, match=r"output 'y' is \[2, 4\], that of the original \[2, 3\]"):
        metric.score(two, None, one)
    with pytest.raises(UsageError, match="the original answers with output 'y', which the other model does not have"):
        metric.score({"z": one["y"]}, None, one)
