"""Scores beside other numbers."""

from collections.abc import Sequence

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.quantization.fidelity.output_forms import holds_scores
from optkit.quantization.fidelity.reference import Reference
from optkit.quantization.fidelity.score_channels import ScoreAgreement, ScoreChannels, background_of, find_scores

from ..tiny import Feed, draw, read
from .test_reference import Answering


class Placed(Answering):
    """A session that is told which of its answers to give."""

    def run(self, feed: Feed, outputs: Sequence[str] | None = None) -> dict[str, Array]:
        return self.answers[int(feed["place"])]


def feeds(count: int) -> list[Feed]:
    return [{"place": np.array(i)} for i in range(count)]


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
    truth, got = np.zeros((1, 100, 1), np.float32), np.zeros((1, 100, 1), np.float32)
    truth[:, :30], got[:, 10:40] = 0.9, 0.9
    scores = ScoreChannels(-1, np.array([True]), np.array([False]))
    held = ScoreAgreement()
    held.add(scores.matched(truth, got))
    assert held.value() == pytest.approx(2 / 3)
    few = ScoreAgreement()
    few.add(scores.matched(truth[:, 25:], got[:, 25:]))
    assert few.value() is None


def test_a_box_that_moved_away_is_no_match() -> None:
    truth = gated_head(0)
    found = find_scores([truth])
    assert found is not None
    moved = (truth + 1000 * (np.arange(8) < 2)).astype(np.float32)
    same, gone = found.matched(truth, truth), found.matched(truth, moved)
    assert 0 < same.both == same.expected == same.found
    assert (gone.expected, gone.found, gone.both) == (same.expected, same.found, 0)


def test_scores_and_boxes_are_judged_apart() -> None:
    truth = [{"y": head(i)} for i in range(6)]
    lost = [{"y": np.where(np.arange(8)[None, :, None] < 4, a["y"], 0).astype(np.float32)} for a in truth]
    coarse = [{"y": np.where(np.arange(8)[None, :, None] < 4, np.rint(a["y"] / 8) * 8, a["y"]).astype(np.float32)} for a in truth]
    without_scores = Reference(HEAD, Placed(*truth), feeds(6)).compare(Placed(*lost))
    assert without_scores.high_scores == 0
    assert without_scores.numbers == 120
    assert without_scores.agreement is None
    assert without_scores.cost is None
    with_coarse_boxes = Reference(HEAD, Placed(*truth), feeds(6)).compare(Placed(*coarse))
    assert with_coarse_boxes.high_scores == 1
    assert with_coarse_boxes.numbers is not None
    assert with_coarse_boxes.sqnr == with_coarse_boxes.numbers < 40


PLACES = read("(float[1,60,8] x) => (float[1,60,8] y) { b, s = Split<axis=2>(x) p = Sigmoid(s) y = Concat<axis=2>(b, p) }")


def gated_head(seed: int, positions: int = 60) -> Array:
    """Boxes, how likely there is anything (at every fifth position), and three classes that are at random elsewhere."""
    rng = np.random.default_rng(seed)
    there = np.where(np.arange(positions) % 5 == 0, 0.9, 0.01)
    classes = rng.uniform(0.3, 1, (positions, 3))
    boxes = np.concatenate([rng.uniform(100, 300, (positions, 2)), rng.uniform(30, 60, (positions, 2))], axis=1)
    return np.concatenate([boxes, there[:, None], classes], axis=1)[None].astype(np.float32)


def test_where_there_is_nothing_no_class_is_found() -> None:
    answers = [gated_head(i) for i in range(4)]
    found = find_scores(answers)
    assert found is not None
    assert found.gated
    assert found.of(answers[0]).shape == (60, 3)
    np.testing.assert_array_equal(found.finds(answers[0]), np.arange(60) % 5 == 0)
    np.testing.assert_allclose(found.of(answers[0])[7], answers[0][0, 7, 5:] * answers[0][0, 7, 4])


def test_classes_that_exclude_each_other_are_not_taken_for_a_gate() -> None:
    rng = np.random.default_rng(0)
    scores = np.eye(4)[rng.integers(0, 4, 200)] * 0.9
    answers = [np.concatenate([rng.uniform(0, 300, (200, 4)), scores], axis=1)[None].astype(np.float32)]
    found = find_scores(answers)
    assert found is not None
    assert not found.gated


def test_a_find_in_another_place_is_another_find() -> None:
    truth = [{"y": gated_head(i)} for i in range(4)]
    moved = [{"y": a["y"] + np.where(np.arange(8) == 0, np.float32(80), np.float32(0))} for a in truth]
    assert Reference(PLACES, Placed(*truth), feeds(4)).compare(Placed(*truth)).high_scores == 1
    assert Reference(PLACES, Placed(*truth), feeds(4)).compare(Placed(*moved)).high_scores == 0


def spoiled(answers: list[dict[str, Array]], where: Array) -> list[dict[str, Array]]:
    return [{**a, "y": np.where((np.arange(8) < 4) & where[:, None], a["y"] + 50, a["y"])} for a in answers]


def test_boxes_count_where_something_is_found() -> None:
    truth = [{"y": gated_head(i)} for i in range(4)]
    found = np.arange(60) % 5 == 0
    held = Reference(PLACES, Placed(*truth), feeds(4))
    assert held.compare(Placed(*spoiled(truth, ~found))).numbers == 120
    numbers = held.compare(Placed(*spoiled(truth, found))).numbers
    assert numbers is not None
    assert numbers < 10


def test_where_too_little_is_found_all_boxes_count() -> None:
    quiet = [{"y": gated_head(i) * np.where(np.arange(8) < 4, 1, 0.2).astype(np.float32)} for i in range(4)]
    found = Reference(PLACES, Placed(*quiet), feeds(4)).compare(Placed(*spoiled(quiet, np.arange(60) % 5 == 1)))
    assert found.high_scores is None
    assert found.numbers is not None
    assert found.numbers < 20


def test_a_map_of_probabilities_is_judged_by_its_high_ones() -> None:
    model = read("(float[1,1,20,30] x) => (float[1,1,20,30] y) { y = Sigmoid(x) }")
    chances = [(1 / (1 + np.exp(-4 * draw(1, 1, 20, 30, seed=i)))).astype(np.float32) for i in range(3)]
    truth = [{"y": each} for each in chances]
    faint = [{"y": np.where(each > 0.02, each, each / 1000).astype(np.float32)} for each in chances]  # much, in logits
    held = Reference(model, Placed(*truth), feeds(3)).compare(Placed(*faint))
    assert (held.high_scores, held.agreement, held.cost, held.numbers) == (1, None, None, None)
    assert held.sqnr > 40
    lost = [{"y": np.zeros_like(each)} for each in chances]
    assert Reference(model, Placed(*truth), feeds(3)).compare(Placed(*lost)).high_scores == 0


def test_a_mask_of_factors_is_no_detectors_score() -> None:
    """As a denoiser gives for each frequency: most are high, and each is held as it is, an error of a tenth being 20 dB or less."""
    model = read("(float[1,1,64] x) => (float[1,1,64] y) { y = Sigmoid(x) }")
    truth = [{"y": (1 / (1 + np.exp(-1 - 2 * draw(1, 1, 64, seed=i)))).astype(np.float32)} for i in range(8)]
    wrong = [{"y": a["y"] * np.float32(0.9)} for a in truth]
    found = Reference(model, Placed(*truth), feeds(8)).compare(Placed(*wrong))
    assert (found.high_scores, found.agreement, found.cost) == (None, None, None)
    assert found.numbers == found.sqnr < 20
    sparse = [{"y": np.where(np.arange(64) % 4 == i % 2, np.float32(0.9), np.float32(0.01))[None, None]} for i in range(8)]
    assert Reference(model, Placed(*sparse), feeds(8)).compare(Placed(*sparse)).high_scores == 1


def test_boxes_in_an_output_of_their_own_count_where_scores_beside_them_are_high() -> None:
    model = read(
        "(float[1,60,3] x, float[1,60,4] b) => (float[1,60,4] boxes, float[1,60,3] scores) { boxes = Relu(b) scores = Sigmoid(x) }"
    )
    found = np.arange(60) % 4 == 0
    scores = np.where(found[:, None], np.float32(0.8), np.float32(0.01)) * np.ones((1, 60, 3), np.float32)
    truth = [{"boxes": 100 * draw(1, 60, 4, seed=i), "scores": scores} for i in range(3)]
    off = [{**a, "boxes": a["boxes"] + np.where(found[:, None], 0, 70).astype(np.float32)} for a in truth]
    held = Reference(model, Placed(*truth), feeds(3))
    assert (held.roles.answer, held.roles.beside) == (None, {"boxes": "scores"})
    assert held.compare(Placed(*off)).numbers == 120
    assert held.compare(Placed(*off)).high_scores == 1


def test_of_boxes_and_classes_the_classes_are_the_answer() -> None:
    model = read("(float[1,60,3] x, float[1,60,4] b) => (float[1,60,4] boxes, float[1,60,3] p) { boxes = Relu(b) p = Softmax(x) }")
    logits = 3 * draw(1, 60, 3)
    truth = [{"boxes": 100 * draw(1, 60, 4), "p": np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)}]
    assert Reference(model, Placed(*truth), feeds(1)).roles.answer == "p"


def test_a_first_look_goes_to_where_most_is_found() -> None:
    truth = [{"y": gated_head(i) * np.where(np.arange(8) < 4, 1, loud).astype(np.float32)} for i, loud in enumerate((0.1, 1, 0.1, 0.6))]
    held = Reference(PLACES, Placed(*truth), feeds(4))
    assert held.order[:2] == [1, 3]
    wrong = [truth[0], {"y": -truth[1]["y"]}, *truth[2:]]
    assert held.compare(Placed(*truth), first=1).sqnr == 120
    assert held.compare(Placed(*wrong), first=1).sqnr < 0


def classes(seed: int) -> Array:
    """Of 60 places, every sixth shows the second class, the others nothing."""
    logits = draw(1, 60, 3, seed=seed, scale=0.3) + np.where(np.arange(60)[:, None] % 6 == 0, [0.0, 4.0, 0.0], [4.0, 0.0, 0.0])
    shares: Array = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return shares.astype(np.float32)


def test_the_background_of_a_detector_is_no_find() -> None:
    model = read("(float[1,60,3] x, float[1,60,4] b) => (float[1,60,3] p, float[1,60,4] boxes) { p = Softmax(x) boxes = Neg(b) }")
    truth = [{"p": classes(i), "boxes": 0.5 + 0.1 * draw(1, 60, 4, seed=i)} for i in range(4)]
    held = Reference(model, Placed(*truth), feeds(4))
    assert held.roles.scores["p"].which.tolist() == [False, True, True]
    assert (held.roles.answer, held.roles.beside) == (None, {"boxes": "p"})
    nothing = [{**a, "p": np.tile(np.array([0.98, 0.01, 0.01], np.float32), (1, 60, 1))} for a in truth]
    found = held.compare(Placed(*nothing))
    assert (found.high_scores, found.cost, found.numbers) == (0, None, 120)


def test_classes_of_places_without_boxes_are_answers() -> None:
    model = read("(float[1,60,3] x) => (float[1,60,3] p) { p = Softmax(x) }")
    held = Reference(model, Placed({"p": classes(0)}), feeds(1))
    assert (held.roles.answer, held.roles.scores) == ("p", {})


@pytest.mark.parametrize(("shares", "background"), [([0.8, 0.1, 0.1], 0), ([0.1, 0.2, 0.7], 2), ([0.4, 0.4, 0.2], None)])
def test_the_background_is_what_most_places_show(shares: list[float], background: int | None) -> None:
    which = np.repeat(np.arange(3), np.rint(np.array(shares) * 50).astype(int))
    assert background_of([np.eye(3)[which][None]]) == background
