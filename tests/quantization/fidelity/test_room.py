"""Which rule a variant breaks, and by how much."""

import math

import pytest

from optkit.quantization.fidelity.reference import Fidelity
from optkit.quantization.fidelity.room import room, shortfall


@pytest.mark.parametrize(
    ("fidelity", "floor", "spare", "says"),
    [
        (Fidelity(25, None, numbers=25), None, 5, "it keeps 25.0 dB, 20 are asked for"),
        (Fidelity(25, None, numbers=25), 30, -5, "it keeps 25.0 dB, 30 are asked for"),
        (Fidelity(15, 1.0, cost=0.001), None, 5, "it keeps 15.0 dB, 10 are asked for"),
        (Fidelity(40, 1.0, cost=0.1), None, -10, "answers that change cost 10.0% by the model's own confidence, 1.00% is allowed"),
        (Fidelity(40, 1.0, cost=0.1), 35, 5, "it keeps 40.0 dB, 35 are asked for"),  # said by the user, it replaces the rules
        (Fidelity(30, None, numbers=30, high_scores=0.8), None, -6.02, "80.0% of high scores agree, 90.0% are asked for"),
        (Fidelity(16, None, numbers=40, high_scores=1.0), None, 6, "it keeps 16.0 dB, 10 are asked for"),
        (Fidelity(-math.inf, None, finite=False), None, -math.inf, "it keeps -inf dB, 10 are asked for"),
    ],
)
def test_the_rule_with_the_least_room_decides(fidelity: Fidelity, floor: float | None, spare: float, says: str) -> None:
    assert room(fidelity, floor) == pytest.approx(spare, abs=0.01)
    assert shortfall(fidelity, floor) == says


def test_no_cost_at_all_leaves_all_the_room() -> None:
    assert room(Fidelity(60, 1.0, cost=0.0)) == 50
