"""Every way to choose a range, held against the values themselves."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.affine import grid_for
from optkit.quantization.histogram import BINS, Histogram
from optkit.quantization.ranges.entropy import Entropy
from optkit.quantization.ranges.min_max import MinMax
from optkit.quantization.ranges.mse import Mse
from optkit.quantization.ranges.percentile import Percentile
from optkit.registry import load, members

METHODS: list[Any] = [Mse, MinMax, Percentile, Entropy]
KINDS: dict[str, Callable[[np.random.Generator], Array]] = {
    "normal": lambda dice: dice.normal(size=40_000),
    "after ReLU": lambda dice: np.maximum(dice.normal(size=40_000), 0),
    "long tails": lambda dice: dice.standard_t(3, size=40_000),
    "an outlier": lambda dice: np.append(dice.normal(size=40_000), 40.0),
    "far from zero": lambda dice: dice.normal(5, 1, size=40_000),
    "negative": lambda dice: -dice.exponential(size=40_000),
    "few": lambda dice: dice.normal(size=30),
}


def seen_of(values: Array) -> Histogram:
    held = Histogram()
    held.add(values.astype(np.float32))
    return held


def squared_error(values: Array, low: float, high: float) -> float:
    values = values.astype(np.float32)
    return float(((grid_for(low, high).round_trip(values) - values).astype(np.float64) ** 2).mean())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_range_lies_within_what_was_seen(method: Any, kind: str) -> None:
    values = KINDS[kind](np.random.default_rng(0)).astype(np.float32)
    low, high = method().range_of(seen_of(values))
    assert min(values.min(), 0) <= low < high <= max(values.max(), 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 2.5, -2.5])
def test_a_constant_is_kept(method: Any, value: float) -> None:
    values = np.full(50, value, np.float32)
    low, high = method().range_of(seen_of(values))
    np.testing.assert_allclose(grid_for(low, high).round_trip(values), values, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32), scale=st.floats(1e-6, 1e6))
def test_mse_has_the_least_squared_error_of_all(kind: str, seed: int, scale: float) -> None:
    values = KINDS[kind](np.random.default_rng(seed)) * scale
    held = seen_of(values)
    errors = {method: squared_error(values, *method().range_of(held)) for method in METHODS}
    # ranges are chosen on bins, and errors measured on values
    assert errors[Mse] <= 1.03 * min(errors.values())


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_mse_finds_the_best_of_all_ranges(seed: int) -> None:
    values = np.append(np.random.default_rng(seed).standard_t(4, size=5000), [-30.0, 50.0])
    found = squared_error(values, *Mse().range_of(seen_of(values)))
    ends = np.linspace(0.02, 1, 25)
    best = min(squared_error(values, low * values.min(), high * values.max()) for low in ends for high in ends)
    assert found <= 1.05 * best


def test_min_max_is_minimum_and_maximum() -> None:
    values = KINDS["an outlier"](np.random.default_rng(0)).astype(np.float32)
    assert MinMax().range_of(seen_of(values)) == (values.min(), values.max())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), outliers=st.integers(0, 5), share=st.sampled_from([0.99999, 0.999, 0.99]))
def test_percentile_is_numpys_within_a_bin(seed: int, outliers: int, share: float) -> None:
    dice = np.random.default_rng(seed)
    values = np.append(dice.normal(size=5000), dice.uniform(-9, 9, size=outliers)).astype(np.float32)
    held, method = seen_of(values), Percentile()
    method.share = share
    tail = (1 - share) / 2
    low, high = method.range_of(held)
    assert low == pytest.approx(np.quantile(values, tail, method="inverted_cdf"), abs=held.width * 1.001)
    assert high == pytest.approx(np.quantile(values, 1 - tail, method="inverted_cdf"), abs=held.width * 1.001)
    kept = np.mean((values >= low) & (values <= high))
    assert kept >= share - 1e-12


def test_percentile_cuts_a_rare_outlier_off_and_keeps_a_frequent_one() -> None:
    values = np.random.default_rng(0).uniform(-1, 1, 300_000).astype(np.float32)
    low, high = Percentile().range_of(seen_of(np.append(values, np.float32(100))))
    assert (low, high) == pytest.approx((-1, 1), abs=0.06)
    assert Percentile().range_of(seen_of(np.append(values, np.full(30, 100, np.float32))))[1] == 100


def literal_divergence(values: Array, counts: Array, low: float, high: float) -> float:
    """The definition, in words: mass of a level is shared alike by the bins in it; what is cut off goes to the first and last bin."""
    grid = grid_for(low, high)
    inside = [i for i, value in enumerate(values) if low <= value <= high]
    levels: dict[int, list[int]] = {}
    for i in inside:
        levels.setdefault(int(min(max(round(values[i] / grid.scale) + grid.zero_point, 0), 255)), []).append(i)
    true = {i: float(counts[i]) for i in inside}
    true[inside[0]] += sum(float(c) for v, c in zip(values, counts, strict=True) if v < low)
    true[inside[-1]] += sum(float(c) for v, c in zip(values, counts, strict=True) if v > high)
    spread = {i: sum(float(counts[j]) for j in members) / len(members) for members in levels.values() for i in members}
    p_sum, q_sum = sum(true.values()), sum(spread.values())
    return sum(true[i] / p_sum * float(np.log((true[i] / p_sum) / (spread[i] / q_sum))) for i in inside)


@pytest.mark.parametrize("kind", ["normal", "an outlier", "negative", "few"])
def test_entropy_is_the_least_divergence_of_all_cuts(kind: str) -> None:
    values = KINDS[kind](np.random.default_rng(1))[-700:]
    held = seen_of(values)
    middles, counts = held.centres()
    low, high = min(held.low, 0.0), max(held.high, 0.0)
    peak = max(-low, high)
    ranges = [(max(low, -cut * peak), min(high, cut * peak)) for cut in Entropy.cuts]
    full, *others = ranges
    enough = [full, *(r for r in others if sum(r[0] <= m <= r[1] for m in middles) >= Entropy.fewest_bins)]
    divergences = [literal_divergence(middles, counts, *r) for r in enough]
    chosen = Entropy().range_of(held)
    assert chosen in enough
    assert divergences[enough.index(chosen)] == pytest.approx(min(divergences), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_entropy_never_cuts_most_values_off(kind: str) -> None:
    values = KINDS[kind](np.random.default_rng(2))
    low, high = Entropy().range_of(seen_of(values))
    assert np.mean((values >= low) & (values <= high)) > 0.95


def test_entropy_cuts_an_outlier_that_percentile_keeps() -> None:
    values = np.append(np.random.default_rng(3).laplace(size=50_000), np.full(5, 60.0))
    held = seen_of(values)
    assert Percentile().range_of(held)[1] == pytest.approx(60, abs=held.width)
    assert Entropy().range_of(held)[1] < 50


def test_the_words_of_the_option_are_the_files() -> None:
    assert sorted(members("quantization.ranges")) == ["auto", "entropy", "min_max", "mse", "percentile"]
    assert [load("quantization.ranges", word) for word in ("mse", "min_max")] == [Mse, MinMax]
    assert BINS > 4 * 256
