import numpy as np
import pytest
from scipy import stats

from optkit.stats.drift import spread, trend, wander
from optkit.stats.order import runs_needed


@pytest.mark.parametrize(("share", "needed"), [(0.9, 100), (0.99, 1000), (0.5, 20)])
def test_a_quantile_needs_ten_values_beyond_it(share: float, needed: int) -> None:
    assert runs_needed(share) == needed


def test_with_so_many_the_interval_of_the_quantile_ends_before_the_maximum() -> None:
    n = runs_needed(0.99)
    assert stats.binom.ppf(0.975, n, 0.99) + 1 < n
    assert stats.binom.ppf(0.975, 300, 0.99) + 1 > 300 - 1


def test_quiet_rounds_do_not_wander() -> None:
    rounds = [np.full(5, 1.0) for _ in range(12)]
    assert (wander(rounds), trend(rounds), spread(np.ones(9))) == (0, 0, 0)


def test_a_machine_that_slows_down_shows() -> None:
    rounds = [np.full(5, 1.0 + 0.05 * r) for r in range(12)]
    assert trend(rounds) == pytest.approx(1.475 / 1.075 - 1, rel=0.01)
    assert wander(rounds) > 0.3


def test_one_outlier_does_not_make_a_wide_spread() -> None:
    assert spread(np.r_[np.linspace(0.99, 1.01, 99), 50.0]) < 0.03


def test_few_rounds_show_no_trend() -> None:
    assert trend([np.array([1.0]), np.array([9.0])]) == 0
