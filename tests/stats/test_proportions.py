from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from optkit.stats.proportions import paired_share_difference, share, tango_score


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 400))
    gained = draw(st.integers(0, n))
    return gained, draw(st.integers(0, n - gained)), n


@given(tables())
def test_the_interval_holds_the_estimate_and_turns_round_with_the_models(table: tuple[int, int, int]) -> None:
    gained, lost, n = table
    found, turned = paired_share_difference(gained, lost, n), paired_share_difference(lost, gained, n)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-9)


@given(tables())
def test_it_excludes_zero_exactly_when_mcnemars_test_rejects(table: tuple[int, int, int]) -> None:
    gained, lost, n = table
    mcnemar = abs(gained - lost) / sqrt(gained + lost) if gained + lost else 0.0
    if abs(mcnemar - 1.959964) < 1e-3:
        return
    found = paired_share_difference(gained, lost, n)
    assert (found.low > 0 or found.high < 0) == (mcnemar > 1.959964)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.floats(-0.3, 0.3))
def test_the_score_uses_the_likeliest_share_under_the_hypothesis(gained: int, lost: int, delta: float) -> None:
    n = 100

    def unlikely(q: float) -> float:
        return float(-(gained * np.log(q + delta) + lost * np.log(q) + (n - gained - lost) * np.log(1 - 2 * q - delta)))

    bounds = (max(0.0, -delta) + 1e-9, (1 - delta) / 2 - 1e-9)
    q = optimize.minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x
    expected = (gained - lost - n * delta) / sqrt(n * (2 * q + delta - delta * delta))
    assert tango_score(gained, lost, n, delta) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("gain", "loss"), [(0.05, 0.05), (0.02, 0.10), (0.2, 0.1), (0.01, 0.01)])
def test_exact_coverage_for_forty_examples_is_near_what_it_claims(gain: float, loss: float) -> None:
    n, covered = 40, 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            chance = comb(n, gained) * comb(n - gained, lost) * gain**gained * loss**lost * (1 - gain - loss) ** (n - gained - lost)
            if chance > 1e-9:
                found = paired_share_difference(gained, lost, n)
                covered += chance * (found.low <= gain - loss <= found.high)
    assert 0.935 <= covered <= 1


def test_no_discordant_pair_still_leaves_doubt() -> None:
    found = paired_share_difference(0, 0, 100)
    z2 = 1.959964**2
    assert (found.value, found.low, found.high) == pytest.approx((0, -z2 / (100 + z2), z2 / (100 + z2)), abs=1e-6)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (991, 1000)])
def test_share_is_scipys_wilson_interval(right: int, n: int) -> None:
    expected = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    found = share(right, n)
    assert (found.value, found.low, found.high) == pytest.approx((right / n, expected.low, expected.high), abs=1e-9)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 gained and 2 lost of 3"):
        paired_share_difference(2, 2, 3)
    with pytest.raises(ValueError, match="4 of 3"):
        share(4, 3)
