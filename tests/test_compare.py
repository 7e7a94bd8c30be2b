import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optkit.artifact import Artifact
from optkit.compare import Comparison, Delta, compare, compare_all
from optkit.measure import Conditions, Machine, Measurement
from optkit.samples import Better, Samples

MACHINE = Machine("Linux", "a CPU", 2, (), {"onnxruntime": "1.0"})


def measured(*samples: Samples, name: str = "a", device: str = "cpu", batch: int = 1, **changes: Any) -> Measurement:
    made = Measurement(Artifact(Path(name), "onnx", name), name, device, batch, 1, MACHINE, samples, {"CPUExecutionProvider": 5})
    return dataclasses.replace(made, **changes)


def scores(values: Any, metric: str = "top1", better: Better = "higher", **more: Any) -> Samples:
    return Samples(metric, more.pop("unit", "ratio"), better, tuple(np.asarray(values, float).tolist()), "example", **more)


def latency(seed: int, scale: float, rounds: int = 20, k: int = 10) -> Samples:
    rng = np.random.default_rng(seed)
    values = scale * 1e-3 * np.exp(rng.normal(0, 0.03, (rounds, k)))
    numbers = tuple(np.repeat(np.arange(rounds), k).tolist())
    return Samples("latency", "s", "lower", tuple(values.ravel().tolist()), "round", "median", groups=numbers)


def between(first: Samples, second: Samples) -> Delta:
    (delta,) = compare(measured(first), measured(second, name="b")).deltas
    return delta


def by_metric(found: Comparison) -> dict[str, Delta]:
    return {delta.metric: delta for delta in found.deltas}


def warned(found: Comparison) -> str:
    return "\n".join(f"{each.what} | {each.hint}" for each in found.warnings)


def test_right_and_wrong_answers_are_paired_by_example() -> None:
    before = np.r_[np.ones(90), np.zeros(10)]
    after = np.r_[np.ones(80), np.zeros(20)]
    delta = between(scores(before), scores(after))
    assert (delta.before, delta.after, delta.n, delta.method) == (0.9, 0.8, 100, "exact McNemar and Tango score interval")
    assert delta.p == pytest.approx(2 * 0.5**10)
    assert delta.gain == pytest.approx(-0.1 / 0.9)
    assert delta.low < delta.gain < delta.high < 0
    assert delta.verdict == "worse"


def test_gain_and_bounds_are_relative_to_before_and_positive_when_better() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(1, 2, 300)
    error = between(scores(before, "mean_absolute_error", "lower"), scores(before * 0.8, "mean_absolute_error", "lower"))
    assert error.gain == pytest.approx(0.2)
    assert 0.19 < error.low < error.gain < error.high < 0.21
    assert error.verdict == "better"
    turned = between(scores(before * 0.8, "mean_absolute_error", "lower"), scores(before, "mean_absolute_error", "lower"))
    assert turned.gain == pytest.approx(-0.25)
    assert turned.verdict == "worse"


def test_equal_scores_are_the_same_though_few_examples_leave_doubt() -> None:
    delta = between(scores([1, 0, 1, 1]), scores([1, 0, 1, 1]))
    assert delta.verdict == "same"
    assert delta.low < -0.1 < 0.1 < delta.high


def test_as_many_gained_as_lost_is_undecided() -> None:
    assert between(scores([1, 0, 1, 0]), scores([0, 1, 1, 0])).verdict == "undecided"


def test_groups_take_the_place_of_examples() -> None:
    values = np.tile([1, 1, 0], 40)
    flipped = np.where(np.arange(120) % 8 == 0, 0, values)
    groups = tuple(np.repeat(np.arange(12), 10).tolist())
    delta = between(scores(values, groups=groups), scores(flipped, groups=groups))
    assert (delta.n, delta.method) == (12, "paired bootstrap over groups")


def test_auroc_is_compared_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0.0, 1.0], 100)
    before, after = labels + rng.normal(0, 0.5, 200), labels + rng.normal(0, 2, 200)
    more: dict[str, Any] = {"summary": "auroc", "labels": tuple(labels.tolist())}
    delta = between(scores(before, "auroc", **more), scores(after, "auroc", **more))
    assert 0.5 < delta.after < delta.before < 1
    assert delta.verdict == "worse"


def test_a_score_of_zero_before_makes_no_relative_change_up() -> None:
    found = compare(measured(scores(np.zeros(50))), measured(scores(np.r_[np.ones(20), np.zeros(30)]), name="b"))
    (delta,) = found.deltas
    assert np.isnan([delta.gain, delta.low, delta.high]).all()
    assert (delta.before, delta.after, delta.verdict) == (0.0, 0.4, "undecided")
    assert "the original's top1 is 0" in warned(found)


def test_scores_that_are_not_finite_are_never_a_verdict() -> None:
    delta = between(scores([1.0, 0.5], "auc"), scores([1.0, np.nan], "auc"))
    assert np.isnan(delta.gain)
    assert delta.verdict == "undecided"


@pytest.mark.parametrize(("alike", "verdict"), [(np.ones(5000), "same"), (np.r_[np.zeros(100), np.ones(900)], "worse")])
def test_agreement_is_held_against_perfection(alike: Any, verdict: str) -> None:
    delta = fidelity(scores(alike, "agreement"))
    assert (delta.before, delta.method, delta.verdict) == (1.0, "Wilson score interval", verdict)
    assert delta.low < delta.gain == alike.mean() - 1 <= delta.high <= 0


def fidelity(samples: Samples) -> Delta:
    (delta,) = compare(measured(), measured(samples, name="b")).deltas
    return delta


def test_identical_answers_are_known_to_be_so() -> None:
    delta = fidelity(scores(np.ones(10), "cosine"))
    assert (delta.low, delta.high, delta.verdict) == (0, 0, "same")


def test_latency_gives_a_median_and_quantiles_only_where_there_are_runs_enough() -> None:
    few = compare(measured(latency(0, 1, 9, 10)), measured(latency(1, 1, 9, 10), name="b"))
    some = compare(measured(latency(0, 1, 10, 10)), measured(latency(1, 1, 10, 10), name="b"))
    many = compare(measured(latency(0, 1, 10, 100)), measured(latency(1, 1, 10, 100), name="b"))
    assert [list(by_metric(each)) for each in (few, some, many)] == [
        ["latency_median"],
        ["latency_median", "latency_p90"],
        ["latency_median", "latency_p90", "latency_p99"],
    ]


def test_half_the_time_is_a_gain_of_one_half() -> None:
    delta = by_metric(compare(measured(latency(0, 1)), measured(latency(1, 0.5), name="b")))["latency_median"]
    assert delta.gain == pytest.approx(0.5, abs=0.01)
    assert delta.low < delta.gain < delta.high
    assert (delta.verdict, delta.n, delta.method) == ("better", 20, "block bootstrap over rounds, at the machine's typical speed")
    slower = by_metric(compare(measured(latency(0, 1)), measured(latency(1, 2), name="b")))["latency_median"]
    assert slower.gain == pytest.approx(-1, abs=0.03)
    assert slower.verdict == "worse"


@pytest.mark.parametrize("change", [1.0, 1.005])
def test_a_difference_of_no_consequence_is_none(change: float) -> None:
    first = latency(0, 1, 60, 50)
    second = dataclasses.replace(first, values=tuple(change * value for value in first.values))
    assert by_metric(compare(measured(first), measured(second, name="b")))["latency_median"].verdict == "same"


def test_an_interval_that_reaches_into_the_band_is_undecided() -> None:
    found = by_metric(compare(measured(latency(0, 1, 6, 2)), measured(latency(1, 1, 6, 2), name="b")))
    assert found["latency_median"].verdict == "undecided"


def test_times_are_consistent_with_their_gain_and_take_no_harm_from_a_busy_machine() -> None:
    busy = np.repeat(np.where(np.arange(20) % 2, 1.6, 1.0), 10)
    first, second = (dataclasses.replace(each, values=tuple((busy * each.values).tolist())) for each in (latency(0, 1), latency(1, 0.7)))
    delta = by_metric(compare(measured(first), measured(second, name="b")))["latency_median"]
    assert delta.gain == pytest.approx(1 - delta.after / delta.before)
    assert delta.low > 0.27
    assert delta.high < 0.33


def test_throughput_is_better_when_higher() -> None:
    first, second = (
        Samples("throughput", "1/s", "higher", tuple(s * (1 + 0.01 * i) for i in range(10)), "round", "median") for s in (1, 3)
    )
    delta = between(first, second)
    assert delta.gain == pytest.approx(2)
    assert delta.verdict == "better"


def test_file_sizes_are_exact() -> None:
    delta = between(
        Samples("size", "bytes", "lower", (1000.0,), "none", "median"), Samples("size", "bytes", "lower", (250.0,), "none", "median")
    )
    assert (delta.gain, delta.low, delta.high, delta.n, delta.method, delta.verdict) == (0.75, 0.75, 0.75, 1, "exact", "better")
    same = Samples("size", "bytes", "lower", (1000.0,), "none", "median")
    assert between(same, same).verdict == "same"


def test_comparing_twice_gives_the_same_and_the_seed_matters() -> None:
    first, second = measured(latency(0, 1)), measured(latency(1, 1), name="b")
    assert compare(first, second, 3) == compare(first, second, 3) != compare(first, second, 4)


def test_measurements_of_different_places_are_refused() -> None:
    with pytest.raises(ValueError, match="a was measured on cpu at batch 1, b on cuda at batch 1"):
        compare(measured(), measured(name="b", device="cuda"))
    with pytest.raises(ValueError, match="2 scores before and 3 after"):
        compare(measured(scores([1, 0])), measured(scores([1, 0, 1]), name="b"))


def test_all_models_are_compared_with_the_first_at_every_place() -> None:
    rows = [measured(latency(i, 1), name=name, batch=batch) for batch in (1, 8) for i, name in enumerate("abc")]
    found = compare_all(rows)
    assert [(each.before, each.after) for each in found] == [("a", "b"), ("a", "c")]
    assert [delta.batch for delta in found[1].deltas] == [1, 1, 8, 8]
    assert compare_all(()) == ()


def test_doubts_are_told_with_what_to_do() -> None:
    copy = measured(scores([1, 0] * 10), name="b", model=Artifact(Path("b"), "onnx", "a"))
    few = compare(measured(scores([1, 0] * 10)), copy)
    assert "a and b are the same file" in warned(few)
    assert "20 examples are few" in warned(few)
    assert "examples would give ±1%" in warned(few)


def test_doubts_about_times() -> None:
    few = compare(measured(latency(0, 1, 5, 3)), measured(latency(1, 1, 5, 3), name="b"))
    assert "rest on 5 rounds only | give more with --time" in warned(few)
    early = Conditions(5, 2.0, 0.0, 0.0, None, 5, settled=True)
    few = compare(measured(latency(0, 1, 5, 3), conditions=early), measured(latency(1, 1, 5, 3), name="b", conditions=early))
    assert "rounds only" not in warned(few), "what was wished is known"
    drifting = dataclasses.replace(latency(0, 1), values=tuple(np.linspace(1, 1.5, 200).tolist()))
    assert "became" in warned(compare(measured(drifting), measured(drifting, name="b")))
    restless = dataclasses.replace(latency(0, 1), values=tuple(np.tile(np.repeat([1.0, 2.0], 10), 10).tolist()))
    assert "vary by 67% from round to round" in warned(compare(measured(restless), measured(restless, name="b")))
    scattered = dataclasses.replace(latency(0, 1), values=tuple(np.tile([1.0, 2.0], 100).tolist()))
    assert "vary by 67% within a round" in warned(compare(measured(scattered), measured(scattered, name="b")))
    assert warned(compare(measured(latency(0, 1)), measured(latency(1, 1), name="b"))) == ""


def test_doubts_about_where_it_ran() -> None:
    nodes = {"CUDAExecutionProvider": 200, "CPUExecutionProvider": 17}
    found = compare(measured(device="cuda", nodes={"CUDAExecutionProvider": 9}), measured(device="cuda", nodes=nodes, name="b"))
    assert "17 of 217 nodes of b run on the CPU, not on cuda" in warned(found)
    elsewhere = dataclasses.replace(MACHINE, processor="another CPU")
    assert "different machines" in warned(compare(measured(), measured(machine=elsewhere, name="b")))
    assert "a had 1 thread, b 4" in warned(compare(measured(), measured(threads=4, name="b")))


def test_broken_answers_are_told_of() -> None:
    found = compare(measured(scores(np.ones(50), "finite")), measured(scores(np.r_[np.zeros(3), np.ones(47)], "finite"), name="b"))
    assert "b gives NaN or infinite answers on 3 examples" in warned(found)


def test_a_mean_that_few_examples_make_is_told_of() -> None:
    rng = np.random.default_rng(0)
    before = np.abs(rng.normal(size=200))
    some, few = before + 0.1 * rng.normal(size=200), before + 0.01 * rng.normal(size=200)
    few[[3, 7]] += 5
    first = measured(scores(before, "mean_absolute_error", "lower", unit=""))
    found = [compare(first, measured(scores(after, "mean_absolute_error", "lower", unit=""), name="b")) for after in (some, few)]
    assert "make most of the difference" not in warned(found[0])
    assert "about 2 of 200 examples make most of the difference in mean_absolute_error of b" in warned(found[1])


def test_a_function_that_says_right_or_wrong_has_bounds() -> None:
    few = np.ones(200)
    few[[3, 7]] = 0
    found = compare(measured(scores(np.ones(200), "mine:right", unit="")), measured(scores(few, "mine:right", unit=""), name="b"))
    assert "make most of the difference" not in warned(found)


def test_nobody_gets_less_than_nothing_right() -> None:
    found = compare(measured(scores([1] * 48 + [0] * 2)), measured(scores([0] * 50), name="b"))
    (delta,) = found.deltas
    assert (delta.low, delta.verdict) == (-1.0, "worse")


def test_one_example_tells_nothing_of_how_many_would() -> None:
    found = compare(measured(scores([1])), measured(scores([1]), name="b"))
    assert "one example is too few" in warned(found)
    assert "| give more of them" in warned(found)


def test_a_small_difference_of_models_opened_once_is_undecided_and_said_to_be() -> None:
    for openings, verdict in ((1, "undecided"), (20, "better")):
        conditions = Conditions(20, 10.0, 0.0, 0.0, None, openings)
        one, other = (measured(latency(seed, scale), name=str(seed), conditions=conditions) for seed, scale in ((0, 1.0), (1, 0.95)))
        found = compare(one, other)
        assert by_metric(found)["latency_median"].verdict == verdict
        assert any("take too long to open" in warned.what for warned in found.warnings) == (openings == 1)


def test_where_examples_take_different_times_throughput_says_how_much_faster() -> None:
    for mixed, speed in ((False, "latency_median"), (True, "throughput")):
        conditions = Conditions(20, 10.0, 0.0, 0.0, None, 20, mixed=mixed)
        one, other = (measured(latency(seed, 1.0), name=str(seed), conditions=conditions) for seed in (0, 1))
        found = compare(one, other)
        assert found.speed == speed
        assert any("longer for some examples" in each.what for each in found.warnings) == mixed
        elsewhere = dataclasses.replace(one, batch=8, conditions=dataclasses.replace(conditions, mixed=False))
        joined = compare_all([one, other, elsewhere, dataclasses.replace(elsewhere, name="1")])
        assert [each.speed for each in joined] == [speed]
