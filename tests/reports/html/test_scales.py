import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.reports.html.scales import Scale, linear, logarithmic, tick_label, ticks

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)
positive = st.lists(st.floats(1e-9, 1e6), min_size=1, max_size=8)


@given(values)
def test_a_linear_scale_holds_its_values_in_order(found: list[float]) -> None:
    scale = linear(found, 10, 310)
    places = [scale(value) for value in sorted(found)]
    assert places == sorted(places)
    assert all(scale.holds(value) for value in found)
    assert all(10 <= place <= 310 for place in places)


@given(positive)
def test_a_logarithmic_scale_keeps_ratios(found: list[float]) -> None:
    scale = logarithmic(found, 0, 100)
    assert all(scale.holds(value) for value in found)
    middle = math.sqrt(scale.low * scale.high)
    assert scale(middle) == pytest.approx(50)


@given(values, st.integers(3, 8))
def test_linear_ticks_are_round_and_few(found: list[float], most: int) -> None:
    scale = linear(found, 0, 100)
    marks = ticks(scale, most)
    assert len(marks) <= most + 1
    assert all(scale.holds(mark) or math.isclose(mark, scale.low) or math.isclose(mark, scale.high) for mark in marks)


@given(positive, st.integers(3, 8))
def test_logarithmic_ticks_lie_within_and_are_few(found: list[float], most: int) -> None:
    scale = logarithmic(found, 0, 100)
    marks = ticks(scale, most)
    assert len(marks) <= most + 1
    assert all(scale.low * (1 - 1e-9) <= mark <= scale.high * (1 + 1e-9) for mark in marks)


def test_what_is_beyond_is_put_at_the_edge() -> None:
    scale = Scale(1, 10, 0, 90)
    assert (scale(0), scale(1), scale(5.5), scale(99)) == (0, 0, 45, 90)


@pytest.mark.parametrize(
    ("shown", "label"),
    [("50.0 µs", "50 µs"), ("1.00 ms", "1 ms"), ("1.50 ms", "1.5 ms"), ("300 µs", "300 µs"), ("92.60%", "92.6%"), ("1,000/s", "1,000/s")],
)
def test_ticks_are_written_without_zeros_for_show(shown: str, label: str) -> None:
    assert tick_label(shown) == label
