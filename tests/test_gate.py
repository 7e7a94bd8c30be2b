from dataclasses import replace
from math import inf, nan

import pytest

from optkit.compare import Comparison, Delta
from optkit.errors import UsageError
from optkit.gate import Limits, Outcome, Preset, judge

TOP1 = Delta("top1", "cpu", 1, "ratio", "higher", 0.9, 0.8955, -0.005, -0.009, -0.001, "worse", "Tango score interval", 1000)
SPEED = Delta("latency_median", "cpu", 1, "s", "lower", 0.002, 0.001, 0.5, 0.48, 0.52, "better", "block bootstrap over rounds", 30)
SIZE = Delta("size", "cpu", 1, "bytes", "lower", 1e6, 3e5, 0.7, 0.7, 0.7, "better", "exact", 1)
ALIKE = Delta("agreement", "cpu", 1, "ratio", "higher", 1.0, 0.99, -0.01, -0.015, -0.006, "worse", "Wilson score interval", 2000)


def comparison(*deltas: Delta, after: str = "b") -> Comparison:
    return Comparison("a", after, deltas)


def outcomes(limits: Limits, *deltas: Delta) -> list[Outcome]:
    return [check.outcome for check in judge([comparison(*deltas)], limits).checks]


@pytest.mark.parametrize(
    ("allowed", "outcome"), [(0.01, "passed"), (0.009, "passed"), (0.0089, "undecided"), (0.0011, "undecided"), (0.0009, "failed")]
)
def test_a_drop_passes_when_the_whole_interval_is_within_the_limit(allowed: float, outcome: str) -> None:
    verdict = judge([comparison(TOP1)], Limits(max_drop=allowed))
    assert verdict.outcome == outcome


@pytest.mark.parametrize(("wanted", "outcome"), [(1.9, "passed"), (1.95, "undecided"), (2.05, "undecided"), (2.1, "failed")])
def test_speed_is_judged_as_times_as_fast(wanted: float, outcome: str) -> None:
    """Gains of 0.48 to 0.52 are 1.92 to 2.08 times as fast."""
    assert outcomes(Limits(min_speedup=wanted), SPEED) == [outcome]


@pytest.mark.parametrize(("allowed", "outcome"), [(0.3, "passed"), (0.5, "passed"), (0.2999, "failed")])
def test_sizes_are_exact(allowed: float, outcome: str) -> None:
    assert outcomes(Limits(max_size=allowed), SIZE) == [outcome]


@pytest.mark.parametrize(("wanted", "outcome"), [(0.985, "passed"), (0.99, "undecided"), (0.995, "failed")])
def test_agreement_needs_no_labels(wanted: float, outcome: str) -> None:
    assert outcomes(Limits(min_agreement=wanted), ALIKE) == [outcome]


def test_what_broke_is_said_with_by_how_much() -> None:
    limits = Limits(max_drop=0.0005, min_speedup=2.5, max_size=0.25, min_agreement=0.999)
    verdict = judge([comparison(TOP1, SPEED, SIZE, ALIKE)], limits)
    assert [(check.limit, check.reason) for check in verdict.checks] == [
        (
            "--max-drop 0.05%",
            "top1 on cpu went from 90.00% to 89.55%: −0.50% of the original's score (−0.90% to −0.10%); −0.05% is allowed: 0.45% too much",
        ),
        ("--min-speedup 2.5", "2.00× as fast on cpu at batch 1 (1.92× to 2.08×); 2.5× is wanted: 0.50× too little"),
        ("--max-size 0.25", "30.0% of the size (300 kB of 1.00 MB); 25% is allowed: 5.0% of the original too large"),
        (
            "--min-agreement 99.9%",
            "99.00% of answers on cpu agree with the original (98.50% to 99.40%); 99.9% is wanted: 0.90 points too little",
        ),
    ]
    assert verdict.outcome == "failed"


def test_undecided_says_how_many_more_examples_would_decide() -> None:
    (check,) = judge([comparison(TOP1)], Limits(max_drop=0.007)).checks
    # 0.004 of half width against 0.002 of distance: four times as many bring the end there, 80 % power takes twice that
    assert check.more_needed == pytest.approx(1000 * (4 * 2.0427 - 1), rel=0.01)
    assert "about 7,200 more examples would decide" in check.reason
    (check,) = judge([comparison(SPEED)], Limits(min_speedup=2.03)).checks
    assert "more rounds would decide" in check.reason
    assert check.more_needed is not None


def test_more_data_does_not_help_an_estimate_on_the_limit() -> None:
    (check,) = judge([comparison(TOP1)], Limits(max_drop=0.005)).checks
    assert (check.outcome, check.more_needed) == ("undecided", None)
    assert "more data would hardly decide" in check.reason


def test_one_group_is_too_few() -> None:
    alone = replace(TOP1, low=-inf, high=inf, n=1, method="paired bootstrap over groups")
    (check,) = judge([comparison(alone)], Limits(max_drop=0.01)).checks
    assert check.outcome == "undecided"
    assert "1 group is too few" in check.reason


def test_the_verdict_is_the_worst_of_its_checks_and_strict_fails_the_undecided() -> None:
    passed, undecided, failed = Limits(max_drop=0.01), Limits(max_drop=0.007), Limits(max_drop=0.0001)
    found = [
        judge([comparison(TOP1)], replace(limits, strict=strict)).outcome
        for limits in (passed, undecided, failed)
        for strict in (False, True)
    ]
    assert found == ["passed", "passed", "undecided", "failed", "failed", "failed"]
    assert judge([comparison(TOP1, SIZE)], Limits(max_drop=0.007, max_size=0.1)).outcome == "failed"


def test_a_limit_holds_at_every_place_and_for_every_model() -> None:
    slow = replace(SPEED, device="openvino", batch=8, gain=-1.0, low=-1.1, high=-0.9)
    verdict = judge([comparison(SPEED, slow), comparison(SPEED, after="c")], Limits(min_speedup=1))
    assert [check.outcome for check in verdict.checks] == ["passed", "failed", "passed"]
    assert verdict.checks[1].reason.startswith("b: 0.50× as fast on openvino at batch 8")
    assert verdict.checks[2].reason.startswith("c: ")


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        (Limits(max_drop=0.01), "no accuracy was measured"),
        (Limits(min_speedup=1.0), "no latency was measured"),
        (Limits(max_size=1.0), "no file size was measured"),
        (Limits(min_agreement=0.9), "no agreement was measured"),
        (Limits(), "there is no limit"),
    ],
)
def test_what_was_not_measured_is_never_passed(limits: Limits, complaint: str) -> None:
    cosine = replace(ALIKE, metric="cosine")
    with pytest.raises(UsageError, match=complaint) as caught:
        judge([comparison(cosine)], limits)
    assert caught.value.hint


def test_one_model_without_the_metric_is_not_covered_by_another_that_has_it() -> None:
    with pytest.raises(UsageError, match="no accuracy"):
        judge([comparison(TOP1), comparison(SIZE)], Limits(max_drop=0.5))


def test_values_that_are_not_finite_never_pass() -> None:
    broken = replace(TOP1, after=nan, gain=nan, low=nan, high=nan, verdict="undecided")
    assert outcomes(Limits(max_drop=0.5), broken) == ["failed"]
    nothing_before = replace(TOP1, before=0.0, gain=nan, low=nan, high=nan, verdict="undecided")
    assert outcomes(Limits(max_drop=0.5), nothing_before) == ["undecided"]


def test_broken_answers_fail_whatever_the_limits() -> None:
    finite = replace(ALIKE, metric="finite", after=0.97, gain=-0.03, low=-0.04, high=-0.02)
    verdict = judge([comparison(SIZE, finite)], Limits(max_size=0.5))
    assert verdict.outcome == "failed"
    assert verdict.checks[0].reason == "b gives NaN or infinite answers on 3.00% of the examples on cpu"
    sound = replace(finite, after=1.0, gain=0.0, low=0.0, high=0.0)
    assert judge([comparison(SIZE, sound)], Limits(max_size=0.5)).outcome == "passed"


@pytest.mark.parametrize(("preset", "drop"), [("mlperf-99", 0.01), ("mlperf-99.9", 0.001)])
def test_presets_are_mlperfs_shares_of_the_original_score(preset: Preset, drop: float) -> None:
    for low in (-drop + 1e-6, -drop - 1e-6):
        delta = replace(TOP1, gain=-drop / 2, low=low, high=drop)
        (check,) = judge([comparison(delta)], Limits(preset=preset)).checks
        assert check.outcome == judge([comparison(delta)], Limits(max_drop=drop)).outcome
        assert check.limit == f"--preset {preset}"
    with pytest.raises(UsageError, match="a preset is a largest drop already"):
        judge([comparison(TOP1)], Limits(preset=preset, max_drop=drop))


def test_what_was_left_out_is_undecided_and_never_passed() -> None:
    elsewhere = replace(comparison(SIZE), left_out={"speed": "another machine", "accuracy": "other examples"})
    verdict = judge([elsewhere], Limits(max_drop=0.01, min_speedup=1.0, max_size=0.5))
    assert [(check.outcome, check.reason.partition(":")[0]) for check in verdict.checks] == [
        ("undecided", "not compared"),
        ("undecided", "not compared"),
        ("passed", "30.0% of the size (300 kB of 1.00 MB); 50% is allowed"),
    ]
    assert judge([elsewhere], Limits(min_speedup=1.0, strict=True)).outcome == "failed"
    with pytest.raises(UsageError, match="agreement is with the original"):
        judge([elsewhere], Limits(min_agreement=0.9, baseline="report.json"))


RATE = Delta("throughput", "cpu", 1, "1/s", "higher", 1000.0, 2000.0, 1.0, 0.9, 1.1, "better", "block bootstrap over rounds", 30)


@pytest.mark.parametrize(("wanted", "outcome"), [(1.85, "passed"), (1.95, "undecided"), (2.05, "undecided"), (2.15, "failed")])
def test_where_examples_take_different_times_speed_is_throughput(wanted: float, outcome: str) -> None:
    """Gains of 0.9 to 1.1 in examples a second are 1.9 to 2.1 times as fast, whatever the median says."""
    slower = replace(SPEED, after=0.004, gain=-1.0, low=-1.1, high=-0.9, verdict="worse")
    mixed = replace(comparison(slower, RATE), speed="throughput")
    (check,) = judge([mixed], Limits(min_speedup=wanted)).checks
    assert (check.outcome, check.delta) == (outcome, RATE)
    assert check.reason.startswith("2.00× as fast over the mix of examples, on cpu at batch 1 (1.90× to 2.10×)")
    assert judge([comparison(slower, RATE)], Limits(min_speedup=1.3)).outcome == "failed"


def test_each_comparison_is_judged_by_its_own_measure_of_speed() -> None:
    both = [comparison(SPEED, RATE), replace(comparison(SPEED, RATE, after="c"), speed="throughput")]
    checks = judge(both, Limits(min_speedup=1.5)).checks
    assert [(check.model, check.delta.metric) for check in checks] == [("b", "latency_median"), ("c", "throughput")]
