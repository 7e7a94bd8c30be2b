from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from optkit.stats.power import more_needed, more_needed_alike, rounded_up
from optkit.stats.proportions import right_and_wrong


def test_with_so_many_the_test_decides_four_times_of_five() -> None:
    deviation, distance, n = 1.0, 0.05, 400
    total = n + (more_needed(n, distance, 1.959964 * deviation / np.sqrt(n)) or 0)
    power = stats.norm.sf(1.959964 - distance * np.sqrt(total) / deviation)
    assert power == pytest.approx(0.8, abs=0.001)


@given(st.integers(2, 10_000), st.floats(0.001, 1), st.floats(1.0, 30))
def test_an_estimate_nearer_to_the_limit_needs_more(n: int, distance: float, times: float) -> None:
    near, far = more_needed(n, distance / 2, distance * times), more_needed(n, distance, distance * times)
    assert far is not None
    assert near is None or near > far >= 1


@pytest.mark.parametrize(
    ("n", "distance", "half"), [(100, 0.0, 0.1), (100, 1e-9, 1.0), (1, 0.1, inf), (5, inf, 0.1), (100, float("nan"), 1.0)]
)
def test_where_no_amount_decides_it_says_none(n: int, distance: float, half: float) -> None:
    assert more_needed(n, distance, half) is None


@pytest.mark.parametrize(("number", "shown"), [(1, 1), (99, 99), (100, 100), (101, 110), (3915, 4000), (7170.2, 7200), (0.2, 1)])
def test_people_get_two_digits(number: float, shown: int) -> None:
    assert rounded_up(number) == shown


@pytest.mark.parametrize(("n", "distance"), [(60, 0.001), (400, 0.005), (2000, 0.0001)])
def test_where_nothing_differed_as_many_again_without_a_difference_decide(n: int, distance: float) -> None:
    half = right_and_wrong(0, 0, n).high
    more = more_needed_alike(n, distance, half)
    assert more is not None
    assert right_and_wrong(0, 0, n + more).high <= distance * 1.0001
    assert right_and_wrong(0, 0, n + more - 2).high > distance
    assert more_needed_alike(n, 0.0, half) is None
