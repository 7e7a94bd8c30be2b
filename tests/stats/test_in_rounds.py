"""Quantiles of times whose neighbours depend on each other."""

import numpy as np
import pytest

from optkit.arrays import Array
from optkit.stats.in_rounds import quantile_in_rounds
from optkit.stats.order import quantile_interval


def rounds_with(dice: np.random.Generator, unlike: float, count: int = 30) -> list[Array]:
    """Rounds whose speeds differ, as those of a machine with other programs do."""
    return [np.exp(dice.normal(unlike * dice.standard_normal(), 0.1, 100)) for _ in range(count)]


@pytest.mark.parametrize(("unlike", "share"), [(0.0, 0.5), (0.0, 0.99), (0.1, 0.5)])
def test_the_interval_holds_the_truth_as_often_as_it_says(unlike: float, share: float) -> None:
    dice = np.random.default_rng(0)
    truth = float(np.quantile(np.concatenate(rounds_with(dice, unlike, 5000)), share))
    found = [quantile_in_rounds(rounds_with(dice, unlike), share, seed) for seed in range(100)]
    assert sum(each is not None and each.low <= truth <= each.high for each in found) >= 90


def test_rounds_that_differ_make_it_wider_than_independent_queries_would() -> None:
    rounds = rounds_with(np.random.default_rng(1), 0.2)
    found, alone = quantile_in_rounds(rounds, 0.5), quantile_interval(np.concatenate(rounds), 0.5)
    assert found is not None
    assert alone is not None
    assert found.value == alone.value
    assert found.high - found.low > 3 * (alone.high - alone.low)


def test_it_is_no_narrower_than_that_of_independent_queries() -> None:
    rounds = np.random.default_rng(2).permutation(np.linspace(1, 2, 1200)).reshape(12, 100)
    found, alone = quantile_in_rounds(rounds, 0.99), quantile_interval(rounds.ravel(), 0.99)
    assert found is not None
    assert alone is not None
    assert found.low <= alone.low <= alone.high <= found.high


def test_few_rounds_span_each_other_and_one_has_no_bounds() -> None:
    rounds = [np.full(100, 1.0 + number) for number in range(6)]
    few, one = quantile_in_rounds(rounds, 0.5), quantile_in_rounds(rounds[:1], 0.5)
    assert few is not None
    assert one is not None
    assert (few.low, few.high) == (1.0, 6.0)
    assert one.high == float("inf")


def test_too_few_queries_give_none() -> None:
    assert quantile_in_rounds([np.ones(99)] * 10, 0.99) is None
