from math import exp, inf, log

import numpy as np
import pytest

from optkit.stats.apart import BETWEEN_RUNS, ratio_of_intervals, ratio_of_runs
from optkit.stats.interval import Interval


def test_bounds_of_a_ratio_lie_as_far_away_as_both_together() -> None:
    found = ratio_of_intervals(Interval(2.0, 2 * exp(-0.03), 2 * exp(0.04)), Interval(4.0, 4 * exp(-0.03), 4 * exp(0.04)))
    assert found.value == 0.5
    assert log(found.low / 0.5) == pytest.approx(-0.05)
    assert log(found.high / 0.5) == pytest.approx(0.05)


def test_an_estimate_without_bounds_leaves_none() -> None:
    found = ratio_of_intervals(Interval(2.0, 0.0, inf), Interval(4.0, 3.9, 4.1))
    assert (found.low, found.high) == (0.0, inf)


def test_two_independent_estimates_cover_their_ratio_as_claimed() -> None:
    rng = np.random.default_rng(0)
    a, b = np.exp(rng.normal(0, 0.05, 2000)), 3 * np.exp(rng.normal(0, 0.1, 2000))
    found = [
        ratio_of_intervals(Interval(x, x * exp(-1.96 * 0.05), x * exp(1.96 * 0.05)), Interval(y, y * exp(-0.196), y * exp(0.196)))
        for x, y in zip(a, b, strict=True)
    ]
    assert 0.935 <= np.mean([each.low <= 1 / 3 <= each.high for each in found]) <= 0.965


def test_two_runs_leave_room_for_how_much_runs_differ() -> None:
    rng = np.random.default_rng(1)
    before, after = (1e-3 * scale * np.exp(rng.normal(0, 0.02, (20, 10))) for scale in (1, 1.3))
    found = ratio_of_runs(before, after, 0.5)
    assert found.value == pytest.approx(1.3, rel=0.01)
    assert found.low < found.value / (1 + BETWEEN_RUNS)
    assert found.high > found.value * (1 + BETWEEN_RUNS)
    assert found.high < found.value * 1.08
