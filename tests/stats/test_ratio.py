import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.stats import pooled
from optkit.stats.interval import Interval
from optkit.stats.ratio import allowing_for_luck, at_typical_speed, ratio_of_medians, ratio_of_quantiles


def times(seed: int, rounds: int, k: int, scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return scale * 1e-3 * np.exp(rng.normal(0, 0.05, (rounds, 1)) + rng.normal(0, 0.05, (rounds, k)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 6), st.integers(1, 6))
def test_the_estimate_is_the_ratio_of_the_medians_of_all_values(seed: int, rounds: int, k: int, other: int) -> None:
    before, after = times(seed, rounds, k), times(seed + 1, rounds, other)
    assert ratio_of_quantiles(before, after, 0.5).value == pytest.approx(np.median(after) / np.median(before), rel=1e-12)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_quantiles_are_numpys_averaged_inverse_of_the_distribution(share: float) -> None:
    before, after = times(0, 20, 50), times(1, 20, 31)
    expected = np.quantile(after, share, method="averaged_inverted_cdf") / np.quantile(before, share, method="averaged_inverted_cdf")
    assert ratio_of_quantiles(before, after, share).value == pytest.approx(expected, rel=1e-12)


def test_a_round_drawn_twice_counts_twice() -> None:
    rows = times(3, 4, 7)
    drawn = np.array([[2, 0, 1, 1], [0, 4, 0, 0]])
    expected = [np.median(np.repeat(rows, counts, axis=0)) for counts in drawn]
    assert pooled.Pooled(rows).quantiles(0.5, drawn) == pytest.approx(expected, rel=1e-12)


def test_a_slow_machine_in_some_rounds_hits_both_and_cancels() -> None:
    noise = np.linspace(1, 3, 30)[:, None]
    found = ratio_of_medians(times(0, 30, 20) * noise, times(1, 30, 20, 0.5) * noise)
    assert 0.46 < found.low < 0.5 < found.high < 0.54


def test_typical_speed_leaves_the_ratio_of_every_round_as_it_was() -> None:
    before, after = times(0, 9, 4), times(1, 9, 6, 0.5)
    first, second = at_typical_speed(before, after)
    for r in range(9):
        assert np.median(second[r]) / np.median(first[r]) == pytest.approx(np.median(after[r]) / np.median(before[r]))
        assert np.median(second[r]) * np.median(first[r]) == pytest.approx(np.median(second[0]) * np.median(first[0]))


def test_a_machine_with_two_speeds_has_one_that_is_typical() -> None:
    busy = np.where(np.arange(31) % 2, 1.6, 1.0)[:, None]
    before, after = times(0, 31, 20), times(1, 31, 20, 0.7)
    quiet, plain = ratio_of_medians(before, after), ratio_of_quantiles(before * busy, after * busy, 0.5)
    found = ratio_of_medians(before * busy, after * busy)
    assert (found.value, found.low, found.high) == pytest.approx((quiet.value, quiet.low, quiet.high), rel=1e-6)
    assert found.high - found.low < 0.6 * (plain.high - plain.low)


def test_times_of_zero_are_left_alone() -> None:
    first, second = at_typical_speed(np.zeros((2, 3)), np.ones((2, 3)))
    assert (np.asarray(first) == 0).all()
    assert (np.asarray(second) == 1).all()


def test_the_same_times_on_both_sides_are_exactly_even() -> None:
    found = ratio_of_medians(times(0, 10, 9), times(0, 10, 9))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_a_seed_gives_the_same_interval_and_another_seed_nearly_the_same() -> None:
    before, after = times(0, 20, 9), times(1, 20, 9, 0.7)
    first, again, other = (ratio_of_medians(before, after, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert first.low == pytest.approx(other.low, rel=0.01)


@pytest.mark.slow
def test_the_interval_covers_the_truth_about_as_often_as_it_claims() -> None:
    covered = 0
    for seed in range(100):
        found = ratio_of_medians(times(2 * seed, 12, 10), times(2 * seed + 1, 12, 10, 0.8), seed)
        covered += found.low <= 0.8 <= found.high
    assert covered >= 90


def test_rounds_of_unequal_length_are_pooled() -> None:
    before = [np.array([1.0, 2.0, 3.0]), np.array([4.0])]
    after = [np.array([2.0]), np.array([4.0, 6.0])]
    assert ratio_of_quantiles(before, after, 0.5).value == 4 / 2.5


def test_one_round_bounds_nothing() -> None:
    found = ratio_of_medians(times(0, 1, 9), times(1, 1, 9))
    assert (found.low, found.high) == (0.0, np.inf)


def test_thinning_hardly_moves_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = times(0, 10, 300), times(1, 10, 211, 0.6)
    full = ratio_of_medians(before, after)
    monkeypatch.setattr(pooled, "MOST_VALUES", 1000)
    thin = ratio_of_medians(before, after)
    assert (thin.value, thin.low, thin.high) == pytest.approx((full.value, full.low, full.high), rel=3e-3)


def test_rounds_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ValueError, match="3 rounds before and 2 after"):
        ratio_of_medians(times(0, 3, 2), times(0, 2, 2))


def test_few_rounds_span_at_least_what_single_rounds_show() -> None:
    before, after = np.ones((7, 3)), np.repeat([[0.5], [0.9], [0.9], [0.9], [0.9], [0.9], [1.3]], 3, axis=1)
    found = ratio_of_medians(before, after)
    assert (found.low, found.value, found.high) == (0.5, 0.9, 1.3)


@pytest.mark.parametrize("rounds", [2, 3, 4, 5])
def test_fewer_rounds_than_the_sign_test_needs_span_students_interval(rounds: int) -> None:
    after = times(5, rounds, 1)
    found = ratio_of_medians(np.ones((rounds, 1)), after)
    logs = np.log(after[:, 0])
    low, high = np.exp(scipy.stats.t.interval(0.95, rounds - 1, logs.mean(), scipy.stats.sem(logs)))
    assert found.low == pytest.approx(min(low, after.min()))
    assert found.high == pytest.approx(max(high, after.max()))


@pytest.mark.parametrize("rounds", [2, 3, 4, 5, 6])
def test_a_model_stopped_after_few_rounds_is_hardly_ever_told_from_itself(rounds: int) -> None:
    apart = 0
    for seed in range(200):
        found = ratio_of_medians(times(2 * seed, rounds, 3), times(2 * seed + 1, rounds, 3), seed)
        apart += not found.low <= 1 <= found.high
    assert apart <= 20


def test_rounds_of_no_time_at_all_bound_nothing() -> None:
    with np.errstate(divide="ignore"):
        found = ratio_of_quantiles(np.ones((3, 1)), np.array([[0.0], [1.0], [1.0]]), 0.5)
    assert (found.low, found.high) == (0.0, np.inf)


@pytest.mark.slow
def test_few_rounds_of_equal_models_are_hardly_ever_told_apart() -> None:
    apart = 0
    for seed in range(200):
        heavy = np.random.default_rng(seed).pareto(1.5, (2, 5, 1)) + 1
        found = ratio_of_medians(heavy[0], heavy[1], seed)
        apart += not found.low <= 1 <= found.high
    assert apart <= 20


def test_one_opening_has_the_luck_of_one_opening() -> None:
    found = Interval(0.95, 0.94, 0.96)
    assert allowing_for_luck(found, 6) == allowing_for_luck(found, None) == found
    once = allowing_for_luck(found, 1)
    assert (once.value, once.low, once.high) == pytest.approx((0.95, 0.94 * 0.93, 0.96 * 1.07))
