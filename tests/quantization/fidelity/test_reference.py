"""Signal to noise and share of equal answers, worked out by hand."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.fidelity.reference import MOST_DECIBELS, Fidelity, Reference, decibels
from optkit.runtimes import Port

from ..tiny import Feed, draw, read


class Answering:
    """A session that says what it is told."""

    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = [{name: np.asarray(value) for name, value in each.items()} for each in answers]
        self.turn = 0

    def run(self, feed: Feed, outputs: Sequence[str] | None = None) -> dict[str, Array]:
        self.turn += 1
        return self.answers[(self.turn - 1) % len(self.answers)]

    def bind(self, feed: Feed) -> Any:
        return None

    def placement(self) -> dict[str, int]:
        return {}


PLAIN = read("(float[N,3] x) => (float[N,3] y) { y = Relu(x) }")
CHANCES = read("(float[N,3] x) => (float[N,3] y) { s = Softmax(x) y = Identity(s) }")
YES_NO = read("(float[N,1] x) => (float[N,1] y) { y = Sigmoid(x) }")
LABELS_FIRST = read("(float[N,3] x) => (int64[N] label, float[N,3] p) { p = Softmax(x) label = ArgMax<axis=1, keepdims=0>(x) }")
LABELS_ONLY = read("(float[N,3] x) => (int64[N] label) { label = ArgMax<axis=1, keepdims=0>(x) }")
STATE = read("(float[N,3] x) => (float[N,3] h) { h = Tanh(x) }")


def held(model: ir.Model, truth: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]], first: int | None = None) -> Fidelity:
    reference = Reference(model, Answering(*truth), [{}] * len(truth))
    return reference.compare(Answering(*found), first)


@pytest.mark.parametrize(
    ("share", "says"), [(1.0, 0.0), (0.01, 20.0), (1e-12, 120.0), (1e-30, 120.0), (0.0, 120.0), (100.0, -20.0), (math.inf, -math.inf)]
)
def test_decibels(share: float, says: float) -> None:
    assert decibels(share) == pytest.approx(says)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(1e-4, 0.5))
def test_noise_is_energy_of_the_difference_over_energy_that_varies(seed: int, size: float) -> None:
    truth, error = draw(40, 3, seed=seed).astype(float), draw(40, 3, seed=seed + 1, scale=size).astype(float)
    share = (error**2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()
    found = held(PLAIN, [{"y": truth}], [{"y": truth + error}])
    assert found.sqnr == pytest.approx(min(MOST_DECIBELS, -10 * math.log10(share)), abs=1e-3)
    shift = np.array([5, -3, 2])
    shifted = held(PLAIN, [{"y": truth + shift}], [{"y": truth + error + shift}])
    assert shifted.sqnr == pytest.approx(found.sqnr, abs=1e-6)  # what is always there hides nothing


def test_the_same_answers_are_as_good_as_it_gets() -> None:
    answers = [{"y": draw(2, 3, seed=i)} for i in range(4)]
    assert held(PLAIN, answers, answers) == Fidelity(MOST_DECIBELS, 1.0, True, True, MOST_DECIBELS, 0.0)


def test_half_precision_does_not_overflow_where_noise_is_summed() -> None:
    truth = [{"y": (1000 * draw(2, 300, seed=i)).astype(np.float16)} for i in range(4)]
    found = [{"y": (a["y"] * np.float16(1.1))} for a in truth]
    wide_truth, wide_found = ([{"y": each["y"].astype(np.float32)} for each in answers] for answers in (truth, found))
    assert held(PLAIN, truth, found) == held(PLAIN, wide_truth, wide_found)


def test_the_worst_output_counts() -> None:
    model = read("(float[N,3] x) => (float[N,3] a, float[N,3] b) { a = Relu(x) b = Neg(x) }")
    truth = [{"a": np.ones((1, 3)), "b": np.ones((1, 3))}]
    found = held(model, truth, [{"a": np.full((1, 3), 1.01), "b": np.full((1, 3), 1.1)}])
    assert found.sqnr == pytest.approx(20, abs=0.01)


def test_noise_is_summed_over_examples() -> None:
    truth = [{"y": [[1.0, 0, -1]]}, {"y": [[-1.0, 0, 1]]}]
    found = held(PLAIN, truth, [truth[0], {"y": [[-1.0, 0.2, 1]]}])
    assert found.sqnr == pytest.approx(-10 * math.log10(0.04 / 4))
    assert held(PLAIN, truth, [truth[0], {"y": [[-1.0, 0.2, 1]]}], first=1).sqnr == MOST_DECIBELS


def test_agreement_is_the_share_of_equal_largest_elements() -> None:
    truth = [{"y": [[1.0, 2, 3], [3, 2, 1]]}, {"y": [[0.0, 5, 1], [9, 0, 0]]}]
    found = [{"y": [[1.0, 2, 3], [3, 4, 1]]}, {"y": [[0.0, 5, 1], [9, 0, 0]]}]
    assert held(PLAIN, truth, found).agreement == pytest.approx(3 / 4)


@pytest.mark.parametrize("model", [CHANCES, PLAIN], ids=["made by Softmax", "adding up to one"])
def test_probabilities_are_compared_as_logits(model: ir.Model) -> None:
    logits = np.array([[[4.0, 0, -4]], [[-4.0, 0, 4]]])
    truth = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    moved = np.exp(logits * 1.1) / np.exp(logits * 1.1).sum(axis=-1, keepdims=True)
    error = -10 * math.log10(((truth - moved) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum())
    assert error > 35  # as probabilities these are alike; the logits differ by a tenth
    assert held(model, [{"y": t} for t in truth], [{"y": m} for m in moved]).sqnr == pytest.approx(20, abs=0.01)


def test_one_probability_is_compared_as_its_logit_and_answers_at_a_half() -> None:
    def chance(logit: float) -> dict[str, Any]:
        return {"y": [[1 / (1 + math.exp(-logit))]]}

    found = held(YES_NO, [chance(4.0), chance(-1.0)], [chance(4.4), chance(0.1)])
    assert found.sqnr == pytest.approx(-10 * math.log10((0.16 + 1.21) / 12.5), abs=0.01)
    assert found.agreement == 0.5


def test_labels_first_and_probabilities() -> None:
    truth = [{"label": [0, 1], "p": [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]}]
    same = held(LABELS_FIRST, truth, truth)
    assert (same.sqnr, same.agreement) == (MOST_DECIBELS, 1.0)
    other = held(LABELS_FIRST, truth, [{"label": [0, 2], "p": truth[0]["p"]}])
    assert other.sqnr == MOST_DECIBELS
    assert other.agreement == pytest.approx(0.75)  # one of two labels, both largest probabilities


def test_of_whole_numbers_alone_what_differs_is_the_noise() -> None:
    truth = [{"label": [i % 3]} for i in range(10)]
    found = held(LABELS_ONLY, truth, [*truth[:9], {"label": [2]}])
    assert found.sqnr == pytest.approx(10)
    assert found.agreement == pytest.approx(0.9)
    assert held(LABELS_ONLY, truth, truth).sqnr == MOST_DECIBELS
    assert held(LABELS_ONLY, truth, [{"label": [9]}] * 10).sqnr == 0


def test_states_and_embeddings_have_no_answers() -> None:
    truth = [{"h": [[0.1, 0.9, 0.3]]}]
    assert held(STATE, truth, [{"h": [[0.1, 0.9, 0.95]]}]).agreement is None


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_not_finite_is_no_answer(odd: float) -> None:
    truth = [{"y": [[1.0, 2, 3]]}, {"y": [[3.0, 2, 1]]}]
    found = held(PLAIN, truth, [{"y": [[1.0, 2, odd]]}, truth[1]])
    assert not found.finite
    assert found.sqnr == -math.inf


def test_what_was_not_finite_before_is_not_held_against_it() -> None:
    truth = [{"y": [[1.0, 2, -math.inf]]}, {"y": [[3.0, 2, -math.inf]]}]
    found = held(PLAIN, truth, [{"y": [[1.1, 2.2, -math.inf]]}, {"y": [[3.3, 2.2, -math.inf]]}])
    assert found.finite
    assert found.sqnr == pytest.approx(-10 * math.log10((0.01 + 0.09 + 2 * 0.04) / 2))
    assert not held(PLAIN, truth, [{"y": [[math.nan, 2, -math.inf]]}, truth[1]]).finite


def test_outputs_that_no_longer_depend_on_the_input() -> None:
    truth = [{"y": draw(1, 3, seed=i)} for i in range(3)]
    assert not held(PLAIN, truth, [{"y": np.ones((1, 3))}]).varies
    assert held(PLAIN, truth, [{"y": np.ones((1, 3))}, {"y": np.ones((1, 3))}, {"y": np.full((1, 3), 2.0)}]).varies


def test_the_last_pixel_counts_too() -> None:
    def picture(last: float) -> dict[str, Any]:
        return {"y": np.concatenate([np.zeros((1, 2999)), [[last]]], axis=1)}

    truth = [picture(0.1), picture(0.2)]
    assert held(PLAIN, truth, truth).varies


def test_a_model_that_always_said_the_same_may_go_on_doing_so() -> None:
    truth = [{"label": [1]}] * 5
    assert held(LABELS_ONLY, truth, truth) == Fidelity(MOST_DECIBELS, 1.0, True, True, MOST_DECIBELS)


@pytest.mark.parametrize("found", [{"y": np.ones((2, 3))}, {"y": np.ones((1, 4))}, {"y": np.ones(3)}])
def test_another_shape_is_all_noise(found: dict[str, Any]) -> None:
    held_to = held(PLAIN, [{"y": np.ones((1, 3))}], [found])
    assert held_to.sqnr == -math.inf
    assert held_to.agreement is None


def test_a_loop_may_end_a_step_earlier_or_later() -> None:
    """Where the original's own answers differ in length, a missing step is noise and one too many is none."""
    model = read("(float[N,T,5] x) => (float[N,T,5] y) { y = Relu(x) }")
    truth = [{"y": draw(1, n, 5, seed=n)} for n in (20, 30, 24)]
    shorter, longer = draw(1, 29, 5), np.concatenate([truth[0]["y"], draw(1, 2, 5)], axis=1)
    shorter[:] = truth[1]["y"][:, :29]
    missing = np.square(truth[1]["y"][:, 29:]).sum() / sum(np.square(t["y"] - np.mean([u["y"].mean() for u in truth])).sum() for t in truth)
    found = held(model, truth, [{"y": longer}, {"y": shorter}, truth[2]])
    assert found.sqnr == pytest.approx(decibels(float(missing)), abs=1)
    assert held(model, truth, [{"y": longer}, *truth[1:]]).sqnr == MOST_DECIBELS
    assert held(model, truth, [{"y": truth[0]["y"][:, :, :4]}, *truth[1:]]).sqnr == -math.inf


def test_whole_numbers_of_another_shape_are_all_different() -> None:
    model = read("(float[N,3] x) => (int64[2,M] k, float[N,3] y) { y = Relu(x) k = NonZero(y) }")
    truth = [{"k": np.zeros((2, 4), np.int64), "y": np.ones((1, 3))}]
    found = held(model, truth, [{"k": np.zeros((2, 3), np.int64), "y": np.ones((1, 3))}])
    assert found.agreement == pytest.approx(0.5)
    empty = [{"k": np.zeros((2, 0), np.int64), "y": np.ones((1, 3))}]
    assert held(model, empty, empty).agreement == 1


def test_text_is_not_compared() -> None:
    model = read("(float[N,3] x, string[N] t) => (float[N,3] y, string[N] s) { y = Relu(x) s = Identity(t) }")
    truth = [{"y": np.ones((1, 3)), "s": np.array(["a"], object)}]
    assert held(model, truth, [{"y": np.ones((1, 3)), "s": np.array(["b"], object)}]).sqnr == MOST_DECIBELS


def test_thousands_of_hopeless_classes_make_a_lost_answer_no_cheaper() -> None:
    model = read("(float[N,5000] x) => (float[N,5000] p) { p = Softmax(x) }")
    truth, found = np.full((1, 5000), 1e-8), np.full((1, 5000), 1e-8)
    truth[0, :2], found[0, :2] = (0.7, 0.3), (0.3, 0.7)
    reference = Reference(model, Answering({"p": truth.astype(np.float32)}), [{}])
    assert reference.compare(Answering({"p": found.astype(np.float32)})).cost == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(("least", "answers"), [(3.0, False), (0.0, True)])
def test_the_largest_of_several_grades_is_no_answer(least: float, answers: bool) -> None:
    truth = [{"y": draw(1, 3, seed=n, scale=0.5) + least} for n in range(20)]
    assert (held(PLAIN, truth, truth).agreement is not None) is answers


@pytest.mark.parametrize(("limit", "looked_at"), [(19.0, 24), (21.0, 16)])
def test_what_is_hopeless_at_a_glance_is_not_looked_at_further(limit: float, looked_at: int) -> None:
    rng = np.random.default_rng(0)
    truth = [{"y": rng.normal(size=(50, 3)).astype(np.float32)} for _ in range(24)]
    answering = Answering(*({"y": t["y"] + rng.normal(size=(50, 3)).astype(np.float32) * 0.1} for t in truth))
    found = Reference(PLAIN, Answering(*truth), [{}] * 24).compare(answering, told=lambda fidelity: fidelity.sqnr < limit)
    assert answering.turn == looked_at
    assert found.sqnr == pytest.approx(20, abs=0.5)


@pytest.mark.parametrize(("scale", "answers"), [(3.0, True), (0.01, False)])
def test_the_largest_number_of_what_prefers_nothing_is_no_answer(scale: float, answers: bool) -> None:
    """As in a piece of sound: noise then moves the largest sample about, and nobody asks for it."""
    model = read("(float[1,1,64] x) => (float[1,1,64] y) { y = Identity(x) }")
    truth = [{"y": draw(1, 1, 64, seed=i, scale=scale)} for i in range(4)]
    fidelity = held(model, truth, [{"y": a["y"] + draw(1, 1, 64, seed=i + 9, scale=scale / 5)} for i, a in enumerate(truth)])
    assert (fidelity.agreement is not None, fidelity.cost is not None) == (answers, answers)
    assert fidelity.numbers == fidelity.sqnr


def test_noise_in_a_map_is_held_against_what_differs_between_examples() -> None:
    model = read("(float[1,2,12,12] x) => (float[1,2,12,12] y) { y = Identity(x) }")
    fixed = draw(1, 2, 12, 12, seed=99, scale=3)
    truth = [{"y": fixed + draw(1, 2, 12, 12, seed=i)} for i in range(24)]
    noisy = [{"y": a["y"] + draw(1, 2, 12, 12, seed=i + 50, scale=0.1)} for i, a in enumerate(truth)]
    assert held(model, truth, noisy).numbers == pytest.approx(20, abs=0.5)


def test_of_how_many_examples_every_answer_is_the_same() -> None:
    """A word of which one letter of many is wrong is wrong, however much padding follows it."""
    model = read("(float[N,T,3] x) => (float[N,T,3] y) { y = Softmax <axis = -1> (x) }")
    words = [np.eye(3, dtype=np.float32)[[*letters, *[0] * 7]] * 0.7 + 0.1 for letters in ([0, 1, 2], [2, 1, 1])]
    misspelt = words[0].copy()
    misspelt[1] = words[0][2]
    truth, wrong = [{"y": word[None]} for word in words], {"y": misspelt[None]}
    found = held(model, truth, [wrong, truth[1]])
    assert (found.agreement, found.whole) == (0.95, 0.5)
    assert held(PLAIN, [{"y": [[1.0, 2, 3]]}, {"y": [[3.0, 2, 1]]}], [{"y": [[1.0, 2, 3]]}] * 2).whole is None
