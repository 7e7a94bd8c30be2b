"""Scores beside other numbers."""

import numpy as np
import pytest

from optkit.quantization.fidelity import Reference
from optkit.quantization.score_channels import ScoreAgreement, find_scores, holds_scores

from .test_fidelity import Answering
from .tiny import Array, draw, read

HEAD = read(
    """(float[1,8,50] x) => (float[1,8,50] y) {
        a, b = Split<axis=1>(x) s = Sigmoid(b) k = Mul(a, c) y = Concat<axis=1>(k, s) }""",
    c=np.full(1, 100, np.float32),
)


def head(seed: int = 0) -> Array:
    boxes = 100 * draw(1, 4, 50, seed=seed)
    return np.concatenate([boxes, 1 / (1 + np.exp(-3 * draw(1, 4, 50, seed=seed + 9)))], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("graph", "holds"),
    [
        ("s = Sigmoid(x) y = Concat<axis=1>(x, s)", True),
        ("s = Sigmoid(x) c = Concat<axis=1>(x, s) y = Transpose<perm=[0,2,1]>(c)", True),
        ("s = Sigmoid(x) t = Sigmoid(s) y = Concat<axis=1>(t, s)", False),
        ("y = Sigmoid(x)", False),
        ("t = Tanh(x) y = Concat<axis=1>(x, t)", False),
    ],
)
def test_only_what_a_sigmoid_gives_can_be_scores(graph: str, holds: bool) -> None:
    model = read(f"(float[1,4,5] x) => (float[A,B,C] y) {{ {graph} }}")
    assert holds_scores(model.graph.outputs[0]) is holds


def test_channels_within_0_and_1_are_found_along_either_axis() -> None:
    for axis, answers in ((1, [head(1), head(2)]), (2, [np.moveaxis(head(1), 1, 2)])):
        found = find_scores(answers)
        assert found is not None
        assert (found.axis, found.which.tolist()) == (axis, [False] * 4 + [True] * 4)
        assert found.of(answers[0]).max() <= 1
        assert found.others(answers[0]).max() > 1


@pytest.mark.parametrize("answers", [[], [draw(3, 4)], [np.abs(draw(1, 4, 5, scale=0.1))], [draw(1, 4, 5), draw(1, 4)]])
def test_elsewhere_there_are_none(answers: list[Array]) -> None:
    assert find_scores(answers) is None


def test_agreement_is_the_f1_of_high_scores() -> None:
    truth, got = np.zeros(100), np.zeros(100)
    truth[:30], got[10:40] = 0.9, 0.9
    held = ScoreAgreement()
    held.add(truth, got)
    assert held.value() == pytest.approx(2 / 3)
    few = ScoreAgreement()
    few.add(truth[25:], got[25:])
    assert few.value() is None


def test_scores_and_boxes_are_judged_apart() -> None:
    truth = [{"y": head(i)} for i in range(6)]
    lost = [{"y": np.where(np.arange(8)[None, :, None] < 4, a["y"], 0).astype(np.float32)} for a in truth]
    coarse = [{"y": np.where(np.arange(8)[None, :, None] < 4, np.rint(a["y"] / 8) * 8, a["y"]).astype(np.float32)} for a in truth]
    without_scores = Reference(HEAD, Answering(*truth), [{}] * 6).compare(Answering(*lost))
    assert without_scores.high_scores == 0
    assert without_scores.numbers == 120
    assert without_scores.agreement is None
    assert without_scores.cost is None
    with_coarse_boxes = Reference(HEAD, Answering(*truth), [{}] * 6).compare(Answering(*coarse))
    assert with_coarse_boxes.high_scores == 1
    assert with_coarse_boxes.numbers is not None
    assert with_coarse_boxes.sqnr == with_coarse_boxes.numbers < 40
