"""Quantiles with intervals between order statistics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from optkit.stats.order import binomial_quantile, median_interval, quantile_interval, runs_needed


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_the_interval_holds_the_truth_as_often_as_it_says(share: float) -> None:
    """Of values that are as skewed as latencies are: 1,000 experiments."""
    dice, n = np.random.default_rng(0), max(200, runs_needed(share))
    truth = np.exp(_normal_quantile(share))
    found = [quantile_interval(np.exp(dice.standard_normal(n)), share) for _ in range(1000)]
    held = sum(each is not None and each.low <= truth <= each.high for each in found)
    assert 0.94 <= held / 1000 <= 0.99


def test_too_few_values_give_no_quantile() -> None:
    assert quantile_interval(np.arange(runs_needed(0.99) - 1), 0.99) is None
    assert quantile_interval(np.arange(runs_needed(0.99)), 0.99) is not None


def test_a_median_lies_within_its_interval_however_few_there_are() -> None:
    dice = np.random.default_rng(1)
    for n in range(1, 40):
        found = median_interval(dice.standard_normal(n))
        assert found.low <= found.value <= found.high


def test_the_interval_of_the_median_is_the_sign_tests() -> None:
    dice = np.random.default_rng(2)
    found = [median_interval(dice.exponential(size=30)) for _ in range(2000)]
    held = sum(each.low <= np.log(2) <= each.high for each in found)
    assert held / 2000 >= 0.945


@given(st.sampled_from([0.025, 0.975]), st.integers(1, 50_000), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_ranks_are_those_that_scipy_finds(chance: float, n: int, share: float) -> None:
    assert binomial_quantile(chance, n, share) == stats.binom.ppf(chance, n, share)


def _normal_quantile(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))
