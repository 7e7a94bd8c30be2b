"""What changed answers cost by the model's own confidence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.fidelity.answer_cost import AnswerCost

from ..tiny import draw


def held(truth: Array, got: Array, parts: int = 1) -> AnswerCost:
    cost = AnswerCost()
    for one, other in zip(np.split(truth, parts), np.split(got, parts), strict=True):
        cost.add(one, other)
    return cost


def test_every_noise_meets_every_margin() -> None:
    truth = np.array([[1.0, 0.0], [3.0, 0.0]])  # margins 1 and 3
    got = np.array([[1.0, 2.0], [3.0, 0.0]])  # noise of -2 and 0
    found = held(truth, got)
    assert found.changed() == pytest.approx(0.25)  # one of the four pairs
    assert found.cost() == pytest.approx(0.5 * np.tanh(0.5) / 2)  # of two classes: p1 - p2 = tanh(margin / 2)


def test_a_toss_up_costs_nothing() -> None:
    truth = np.array([[1e-9, 0.0], [1e-9, 0.0]])
    got = truth[:, ::-1]
    assert held(truth, got).cost() == pytest.approx(0, abs=1e-8)


def sequence(*leads: float) -> Array:
    """One example whose positions lead by so much, of two classes: p1 = sigmoid(lead), p1 - p2 = tanh(lead / 2)."""
    return np.array([[[lead, 0.0] for lead in leads]])


NOISE = np.array([0.0, 1.5])  # changes every answer that leads by less


def test_of_a_sequence_the_worst_position_counts_as_far_as_the_rest_is_right() -> None:
    assert held(sequence(1), sequence(1) + NOISE).cost() == pytest.approx(np.tanh(0.5))
    rest = 1 / (1 + np.exp(-2.0)) / (1 + np.exp(-3.0))
    found = held(sequence(2, 1, 3), sequence(2, 1, 3) + NOISE).cost()
    assert found == pytest.approx(np.tanh(0.5) * rest)


def test_what_is_never_right_as_a_whole_is_judged_by_its_worst_position() -> None:
    long = sequence(*[1.0] * 12)  # 0.73 each: one in 43
    assert held(long, long + NOISE).cost() == pytest.approx(np.tanh(0.5))


def test_a_whole_sequence_costs_what_labels_drawn_by_its_own_confidence_show() -> None:
    """One position of each line is answered by the second class; the exact share of lines that are right before and after."""
    rng = np.random.default_rng(0)
    truth = sequence(2.5, 0.6, 2.0, 3.0)
    right = rng.random((200_000, 4)) < 1 / (1 + np.exp(-truth[0, :, 0]))
    before = right.all(axis=1).mean()
    right[:, 1] = ~right[:, 1]
    assert held(truth, truth + np.array([0.0, 1.0])).cost() == pytest.approx(before - right.all(axis=1).mean(), abs=0.005)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 9), st.floats(0, 3))
def test_shares_lie_between_nothing_and_all_and_shifts_change_nothing(seed: int, classes: int, scale: float) -> None:
    truth, noise = draw(8, classes, seed=seed).astype(float), draw(8, classes, seed=seed + 1, scale=scale).astype(float)
    found = held(truth, truth + noise)
    cost = found.cost()
    assert cost is not None
    assert 0 <= cost <= found.changed() <= 1
    shifted = held(truth + draw(8, 1, seed=seed), truth + noise - 5, parts=4)
    assert shifted.cost() == pytest.approx(cost, abs=1e-6)


def test_close_to_the_share_that_many_examples_show() -> None:
    truth, noise = draw(40_000, 5, seed=1, scale=3).astype(float), draw(40_000, 5, seed=2, scale=0.5).astype(float)
    counted = float(np.mean(truth.argmax(1) != (truth + noise).argmax(1)))
    few = held(truth[:64], truth[:64] + noise[:64])
    assert few.changed() == pytest.approx(counted, rel=0.35)


def test_no_answers_no_cost() -> None:
    assert AnswerCost().cost() is None
    broken = held(np.full((2, 3), np.inf), np.zeros((2, 3)))
    assert broken.cost() is None
