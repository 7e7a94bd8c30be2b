"""What agreement is of: the largest score, everything that is found, or nothing."""

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.measure._agreement import with_agreement
from optkit.metrics import Metric, fidelity_metrics
from optkit.metrics._finds import Finds
from optkit.metrics.agreement import Agreement

from ..quantization.fidelity.test_score_channels import HEAD, head
from ..quantization.tiny import draw, read

MAP = read("(float[N,60,3] x) => (float[N,60,3] y) { y = Sigmoid(x) }")
FLOW = read("(float[N,3,8,8] x) => (float[N,2,8,8] y) { y = Conv(x, w) }", w=draw(2, 3, 1, 1))
CLASSES = read("(float[N,3] x, float[N,60,3] m) => (float[N,3] y, float[N,60,3] z) { y = Softmax(x) z = Sigmoid(m) }")
WORDS = read("(float[N,60,3] x) => (float[N,60,3] y) { y = Softmax(x) }")


def sigmoid(values: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-values)), np.float32)


def softmax(values: Array) -> Array:
    shares = np.exp(values) / np.exp(values).sum(axis=-1, keepdims=True)
    return np.asarray(shares, np.float32)


def sparse(low: float) -> Array:
    """Scores of which one in ten is high, if the others are low."""
    return np.where(np.arange(60)[:, None] % 10 == 0, 0.9, low) * np.ones((5, 60, 3), np.float32)


def agreement(found: list[Metric]) -> Metric | None:
    return next((metric for metric in found if metric.name == "agreement"), None)


@pytest.mark.parametrize(
    ("model", "answers", "kind"),
    [
        (MAP, {"y": sparse(0.01)}, Finds),
        (MAP, {"y": np.full((5, 60, 3), 0.01, np.float32)}, None),  # nothing is found
        (MAP, {"y": np.full((5, 60, 3), 0.9, np.float32)}, None),  # a mask: gains
        (HEAD, {"y": np.concatenate([head(i) for i in range(5)])}, Finds),
        (HEAD, {"y": np.concatenate([head(i) for i in range(5)]) * np.where(np.arange(8) < 4, 1, 0.01)[:, None].astype(np.float32)}, None),
        (WORDS, {"y": softmax(3 * draw(5, 60, 3))}, Metric),
        (FLOW, {"y": draw(5, 2, 8, 8)}, None),  # a map of numbers
        (CLASSES, {"y": softmax(3 * draw(5, 3)), "z": sparse(0.01)}, Metric),  # the answer is the class
    ],
)
def test_it_depends_on_the_answers(model: object, answers: dict[str, Array], kind: type[Metric] | None) -> None:
    outputs = model.graph.outputs  # type: ignore[attr-defined]
    found = agreement(with_agreement(fidelity_metrics(), outputs, answers, None, labelled=False, asked=False))
    assert found is None if kind is None else isinstance(found, kind) and isinstance(found, Finds) is (kind is Finds)


def test_an_output_that_is_named_may_hold_answers_where_the_first_holds_none() -> None:
    both = read(
        "(float[N,3,8,8] x, float[N,5] m) => (float[N,2,8,8] y, float[N,5] z) { y = Conv(x, w) z = Identity(m) }", w=draw(2, 3, 1, 1)
    )
    answers = {"y": draw(5, 2, 8, 8), "z": 3 * draw(5, 5)}
    for output, kept in ((None, False), ("z", True)):
        found = agreement(with_agreement(fidelity_metrics(output), both.graph.outputs, answers, output, labelled=False, asked=False))
        assert (found is not None) is kept


def test_an_output_that_is_named_is_what_counts() -> None:
    answers = {"y": softmax(3 * draw(5, 3)), "z": sparse(0.01)}
    found = agreement(with_agreement(fidelity_metrics("z"), CLASSES.graph.outputs, answers, "z", labelled=False, asked=False))
    assert isinstance(found, Finds)
    assert set(found.scores) == {"z"}


def test_what_was_asked_for_stays() -> None:
    answers = {"y": np.full((5, 60, 3), 0.01, np.float32)}
    asked = with_agreement(fidelity_metrics(), MAP.graph.outputs, answers, None, labelled=False, asked=True)
    assert [metric.name for metric in asked] == ["agreement", "cosine", "sqnr"]


def test_without_a_graph_it_is_what_the_numbers_say() -> None:
    found = with_agreement(fidelity_metrics(), (), {"y": sparse(0.01)}, None, labelled=False, asked=False)
    assert not isinstance(agreement(found), Finds | None)


def test_a_number_for_each_of_any_number_of_places_is_no_class() -> None:
    cuts = read("(float[T] x) => (float[T] y) { y = Neg(x) }")
    truth = 3 * draw(6, 40)
    found = agreement(with_agreement(fidelity_metrics(), cuts.graph.outputs, {"y": truth}, None, labelled=False, asked=False))
    assert found is None
    (asked,) = with_agreement([Agreement()], cuts.graph.outputs, {"y": truth}, None, labelled=False, asked=True)
    got = truth + np.where(np.arange(40) < 10, 1, 0.01).astype(np.float32)
    np.testing.assert_allclose(
        asked.score({"y": got}, None, {"y": truth}),
        [np.mean(np.abs(a - b) <= 0.05 * np.maximum(1, np.abs(b))) for a, b in zip(got, truth, strict=True)],
    )


def test_one_number_an_example_is_a_yes_or_no() -> None:
    model = read("(float[N] x) => (float[N] y) { y = Sigmoid(x) }")
    found = agreement(with_agreement(fidelity_metrics(), model.graph.outputs, {"y": sigmoid(draw(40))}, None, labelled=True, asked=False))
    assert isinstance(found, Agreement)
    assert not found.one_each
