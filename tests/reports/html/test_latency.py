import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.report import Report
from optkit.reports.html.latency import density, extremes, view
from optkit.reports.html.scales import logarithmic

FullReport = Callable[..., Report]


def test_the_peak_of_a_density_is_where_most_values_are() -> None:
    seconds = np.exp(np.random.default_rng(0).normal(np.log(5e-3), 0.1, 4000))
    scale = logarithmic([1e-3, 1e-2], 0, 100)
    curve = density(seconds, scale)
    top = max(curve, key=lambda point: point[1])
    assert top[0] == pytest.approx(5e-3, rel=0.05)
    assert top[1] == pytest.approx(1.0, abs=0.01)
    half = [x for x, y in curve if y > 0.5]  # a normal density is above half its height within 1.18 standard deviations
    assert np.log(half[-1] / half[0]) == pytest.approx(2 * 1.177 * 0.1, rel=0.25)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(1e-7, 10), min_size=1, max_size=50))
def test_any_times_have_a_density(seconds: list[float]) -> None:
    curve = density(np.array(seconds), logarithmic(seconds, 0, 100))
    assert all(np.isfinite(y) and 0 <= y <= 1 + 1e-9 for _, y in curve)


def test_every_model_has_a_hill_and_every_round_a_point(full_report: FullReport) -> None:
    (place,) = view(full_report(2))
    for drawn in place.distributions:
        assert re.findall(r'data-model="([^"]+)"', drawn) == ["model.onnx", "model.variant1.onnx", "model.variant2.onnx"]
    assert place.rounds is not None
    for drawn in place.rounds:
        assert len(re.findall(r"round \d+: ", drawn)) == 3 * 12


def test_medians_lie_in_the_order_of_speed(full_report: FullReport) -> None:
    (place,) = view(full_report(3))
    medians = [
        float(x)
        for x in re.findall(r'class="stem s\d"', place.distributions[0])
        and re.findall(r'x1="([\d.]+)"[^>]*class="stem', place.distributions[0])
    ]
    assert medians == sorted(medians, reverse=True)
    gaps = -np.diff(medians)
    assert gaps == pytest.approx([gaps.mean()] * 3, rel=0.05)  # each is twice as fast as the one before, on a logarithmic axis


def test_what_the_axis_leaves_out_is_told(full_report: FullReport) -> None:
    report = full_report(1)
    slow = report.measurements[0]
    latency = slow.samples[0]
    stalled = replace(latency, values=(*latency.values[:-6], *(10.0,) * 6))
    changed = replace(report, measurements=(replace(slow, samples=(stalled, *slow.samples[1:])), report.measurements[1]))
    assert view(report)[0].beyond.count("model.onnx") <= 1
    assert "0.5% of model.onnx" in view(changed)[0].beyond or "0.6% of model.onnx" in view(changed)[0].beyond


def test_p99_is_drawn_only_where_there_were_runs_enough(full_report: FullReport) -> None:
    report = full_report(1)
    few = replace(
        report, comparisons=tuple(replace(c, deltas=tuple(d for d in c.deltas if d.metric != "latency_p99")) for c in report.comparisons)
    )
    assert ">p99<" in view(report)[0].distributions[0]
    assert ">p99<" not in view(few)[0].distributions[0]


def test_no_latency_no_picture(full_report: FullReport) -> None:
    report = full_report(1)
    silent = tuple(replace(each, samples=each.samples[2:]) for each in report.measurements)
    assert view(replace(report, measurements=silent)) == []


def test_thousands_of_rounds_stay_readable_and_small(full_report: FullReport) -> None:
    """Every so many rounds have a mark and a row; the line still touches the slowest and the fastest of them all."""
    report = full_report(1)
    rounds, dice = 6000, np.random.default_rng(0)
    values = 5e-3 * np.exp(dice.normal(0, 0.1, rounds))
    values[[1234, 4321]] = 2e-2, 1e-3
    latency = replace(report.measurements[0].samples[0], values=tuple(values.tolist()), groups=tuple(range(rounds)))
    both = tuple(replace(each, samples=(latency, *each.samples[1:])) for each in report.measurements)
    (place,) = view(replace(report, measurements=both))
    assert place.rounds is not None
    for drawn in place.rounds:
        assert len(drawn) < 60_000
        assert 2 * 90 <= len(re.findall(r"round [\d,]+: ", drawn)) <= 2 * 101
        heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", re.findall(r'd="([^"]+)" class="curve', drawn)[0])]
        assert len(heights) <= 2 * 400 + 2
        typical = float(np.median(heights))
        assert max(heights) - typical > 8 * np.std(heights)  # 1 ms, lower than all others
        assert typical - min(heights) > 8 * np.std(heights) * 0.5  # 20 ms
    assert len(place.table) <= 3 + 101
    assert place.table[0][0] == "median of all queries"
    assert place.table[-1][0].startswith("median of round 5,9")


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=3000))
@settings(deadline=None, max_examples=30)
def test_a_line_keeps_its_ends_and_extremes(values: list[float]) -> None:
    kept = extremes(np.array(values))
    assert kept == sorted(set(kept))
    assert {0, len(values) - 1} <= set(kept)
    assert {min(values), max(values)} <= {values[i] for i in kept}
    assert len(kept) <= 2 * 400 + 2
