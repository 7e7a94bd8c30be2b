"""The picture of an interval, read back: where things are is what they say."""

import re
from dataclasses import replace
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.compare import Delta
from optkit.reports.html.bounds import Bounds, after_with, axis_of, bounds_on, gain_on
from optkit.reports.html.intervals import Bar, axis_picture, label, picture, scale_for

LATENCY = Delta("latency_median", "cpu", 1, "s", "lower", 12e-3, 6e-3, 0.5, 0.4, 0.6, "better", "block bootstrap over rounds", 40)
TOP1 = Delta("top1", "cpu", 1, "ratio", "higher", 0.8, 0.796, -0.005, -0.01, 0.002, "undecided", "Tango score interval", 1000)


def place(drawn: str, pattern: str) -> float:
    found = re.search(pattern, drawn)
    assert found, pattern
    return float(found[1])


def ends(bounds: Bounds) -> list[float]:
    return [bounds.value, bounds.low, bounds.high]


def test_times_as_fast_are_what_the_words_say() -> None:
    assert axis_of(LATENCY) == "times"
    assert ends(bounds_on("times", LATENCY)) == pytest.approx([2.0, 1 / 0.6, 2.5])
    throughput = replace(LATENCY, metric="throughput", unit="1/s", better="higher")
    assert ends(bounds_on("times", throughput)) == pytest.approx([1.5, 1.4, 1.6])


def test_scores_are_in_points_and_other_values_in_percent() -> None:
    assert axis_of(TOP1) == "points"
    assert ends(bounds_on("points", TOP1)) == pytest.approx([-0.4, -0.8, 0.16])
    error = replace(TOP1, metric="mean_squared_error", unit="", better="lower")
    assert (axis_of(error), gain_on("percent", 0.1, error)) == ("percent", 10.0)


@pytest.mark.parametrize("metric", ["sqnr", "cosine"])
def test_no_axis_for_what_the_original_has_no_value_of(metric: str) -> None:
    assert axis_of(replace(TOP1, metric=metric)) is None


def test_no_axis_for_what_cannot_be_compared() -> None:
    assert axis_of(replace(LATENCY, gain=nan)) is None


@given(st.floats(0.01, 1e3), st.floats(-0.9, 0.9), st.sampled_from(["higher", "lower"]))
def test_the_value_after_comes_back_out_of_the_gain(before: float, gain: float, better: str) -> None:
    after = before * (1 + gain) if better == "higher" else before * (1 - gain)
    delta = replace(TOP1, before=before, after=after, gain=gain, low=gain - 0.01, high=gain + 0.01, better=better)  # type: ignore[arg-type]
    found = after_with(delta)
    assert found.value == pytest.approx(after)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("delta", [LATENCY, TOP1])
def test_dot_whiskers_and_limit_are_where_their_values_are(delta: Delta) -> None:
    axis = axis_of(delta)
    assert axis is not None
    limit = gain_on(axis, -0.01 if delta is TOP1 else 0.25, delta)
    bar = Bar(bounds_on(axis, delta), delta.verdict, limit, "what it says")
    scale = scale_for(axis, [bar])
    drawn = str(picture(bar, axis, scale))
    assert place(drawn, r'cx="([\d.]+)"') == pytest.approx(scale(bar.bounds.value), abs=0.06)
    assert place(drawn, r'x1="([\d.]+)"[^>]* class="whisker') == pytest.approx(scale(bar.bounds.low), abs=0.06)
    assert place(drawn, r'x2="([\d.]+)"[^>]* class="whisker') == pytest.approx(scale(bar.bounds.high), abs=0.06)
    assert place(drawn, r'x1="([\d.]+)"[^>]* class="limit') == pytest.approx(scale(limit), abs=0.06)
    assert "<title>what it says</title>" in drawn


def test_ratios_are_on_a_logarithmic_axis() -> None:
    scale = scale_for("times", [Bar(Bounds(4.0, 4.0, 4.0), "better", None, "")])
    assert scale(4) - scale(2) == pytest.approx(scale(2) - scale(1))


@given(st.floats(0.001, 1000), st.floats(0.001, 1000))
def test_ratios_beside_an_axis_do_not_crowd(one: float, other: float) -> None:
    scale = scale_for("times", [Bar(Bounds(value, value, value), "better", None, "") for value in (one, other)])
    places = [float(x) for x in re.findall(r'<text x="([\d.]+)"', str(axis_picture("times", scale)))]
    assert places
    assert all(right - left >= 35.9 for left, right in pairwise(places))


def test_a_whisker_too_long_for_the_axis_ends_in_an_arrow() -> None:
    bars = [Bar(Bounds(2.0, 1.9, 2.1), "better", None, ""), Bar(Bounds(1.0, 0.9, 500.0), "undecided", None, "")]
    scale = scale_for("times", bars)
    assert scale.high < 10
    assert "arrow" not in picture(bars[0], "times", scale)
    assert picture(bars[1], "times", scale).count("arrow") == 1


def test_what_was_measured_once_has_no_whiskers_and_what_is_exact_is_a_square() -> None:
    once, exact = (Bar(bounds, "undecided", None, "") for bounds in (Bounds(1.0, -inf, inf), Bounds(2.0, 2.0, 2.0)))
    scale = scale_for("times", [once, exact])
    assert "whisker" not in picture(once, "times", scale)
    assert "circle" not in picture(exact, "times", scale)


@pytest.mark.parametrize(
    ("axis", "value", "said"),
    [("times", 2.0, "2×"), ("times", 0.25, "1/4×"), ("points", -0.5, "−0.5"), ("percent", 3.0, "+3%"), ("points", 0.0, "0")],
)
def test_axes_are_written_as_people_write(axis: str, value: float, said: str) -> None:
    assert label(axis, value) == said  # type: ignore[arg-type]
