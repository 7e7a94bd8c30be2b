"""Ranges of what becomes scores."""

import numpy as np
import pytest

from optkit.quantization.calibration.score_ranges import REACH, before_scores, with_room_for_scores
from optkit.quantization.histogram import Histogram

from ..tiny import draw, read


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ("c = Conv(x, u) y = Sigmoid(c)", {"c"}),
        ("c = Conv(x, u) d = Conv(x, u) e = Concat<axis=1>(c, d) s = Sigmoid(e) y = Concat<axis=1>(x, s)", {"c", "d", "e"}),
        ("c = Conv(x, u) t = Transpose<perm=[0,2,3,1]>(c) s = Sigmoid(t) y = Identity(s)", {"c", "t"}),
        ("c = Conv(x, u) s = Sigmoid(c) y = Mul(c, s)", set()),  # a gate within the network
        ("c = Conv(x, u) s = Sigmoid(c) y = Conv(s, u)", set()),
        ("y = Conv(x, u)", set()),
    ],
)
def test_what_is_carried_into_a_sigmoid_that_gives_an_output(graph: str, found: set[str]) -> None:
    model = read(f"(float[1,4,5,5] x) => (float[A,B,C,D] y) {{ {graph} }}", u=draw(4, 4, 1, 1))
    assert before_scores(model) == found


def histogram(*values: float) -> Histogram:
    seen = Histogram()
    seen.add(np.array(values, np.float32))
    return seen


@pytest.mark.parametrize(
    ("chosen", "seen", "widened"),
    [
        ((-14, 0), (-15, -1), (-14, REACH)),  # nothing was found in the examples
        ((-14, 1), (-15, 6), (-14, 6)),  # finds were too rare to be worth a range
        ((-14, 1), (-15, 90), (-14, 2 * REACH)),  # further up all scores are one
        ((-1, 1), (-1, 1), (-REACH, REACH)),
        ((-14, 9), (-15, 90), (-14, 9)),
    ],
)
def test_scores_may_be_higher_than_in_the_examples(
    chosen: tuple[float, float], seen: tuple[float, float], widened: tuple[float, float]
) -> None:
    model = read("(float[1,4,5,5] x) => (float[1,4,5,5] y) { c = Conv(x, u) y = Sigmoid(c) }", u=draw(4, 4, 1, 1))
    found = with_room_for_scores(model, {"c": chosen, "x": (0, 1)}, {"c": histogram(*seen)})
    assert found == {"c": pytest.approx(widened), "x": (0, 1)}
