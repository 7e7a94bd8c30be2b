"""Counts that do not depend on how the data came, held against exact arithmetic."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optkit.arrays import Array
from optkit.quantization.histogram import BINS, Histogram

FEW = settings(max_examples=30, deadline=None)
VALUES = arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))


def histogram_of(*batches: Array) -> Histogram:
    held = Histogram()
    for batch in batches:
        held.add(batch)
    return held


def exact_counts(values: Array, width: float) -> Array:
    """Integers cut towards zero, by arithmetic without rounding."""
    counts = np.zeros(BINS, np.int64)
    for value in values.tolist():
        numerator, denominator = value.as_integer_ratio()
        over, under = width.as_integer_ratio()
        place = abs(numerator) * under // (denominator * over)
        counts[BINS // 2 + int(math.copysign(place, value))] += 1
    return counts


def state(held: Histogram) -> tuple[object, ...]:
    return held.low, held.high, held.width, held.total, held.zeros, held.finite, held.counts.tobytes()


@FEW
@given(VALUES, st.data())
@example(np.array([0, 0, 0, 5, -3, 0, 1e-3], np.float32), None)
def test_order_and_batches_do_not_matter(values: Array, data: st.DataObject | None) -> None:
    shuffled = values if data is None else np.array(data.draw(st.permutations(values.tolist())), np.float32)
    cuts = range(1, len(values)) if data is None else data.draw(st.lists(st.integers(0, len(values)), max_size=5))
    assert state(histogram_of(*np.split(shuffled, sorted(cuts)))) == state(histogram_of(values))


@FEW
@given(VALUES)
def test_counts_are_exact(values: Array) -> None:
    held = histogram_of(*np.array_split(values, 3))
    assert (held.low, held.high, held.total, held.finite) == (values.min(), values.max(), values.size, True)
    assert held.zeros == np.count_nonzero(values == 0)
    if held.width:
        np.testing.assert_array_equal(held.counts, exact_counts(values, held.width))
    else:
        assert not values.any()


@FEW
@given(VALUES.filter(lambda values: np.abs(values).max() > 1e-30))
def test_bins_are_no_wider_than_twice_what_is_needed(values: Array) -> None:
    peak = float(np.abs(values).max())
    width = histogram_of(values).width
    assert math.log2(width) == int(math.log2(width))
    assert peak / (BINS / 2) <= width < 2 * peak / (BINS / 2 - 1)


@FEW
@given(VALUES)
def test_centres_are_within_half_a_bin_and_leave_exact_zeros_out(values: Array) -> None:
    held = histogram_of(values)
    middles, counts = held.centres()
    assert counts.sum() == np.count_nonzero(values)
    near = np.sort(np.repeat(middles, counts))
    # bin 0 holds both sides of zero, so values in it are up to a whole bin from its middle
    assert np.abs(near - np.sort(values[values != 0])).max(initial=0) <= held.width


def test_zeros_before_anything_else_are_counted() -> None:
    held = histogram_of(np.zeros(10, np.float32), np.array([1.0, 0.0, -2.0], np.float32))
    assert held.counts.sum() == held.total == 13
    middles, counts = held.centres()
    np.testing.assert_array_equal(counts, [1, 1])
    np.testing.assert_allclose(middles, [-2, 1], atol=held.width)


@pytest.mark.parametrize("value", [3.25, -7.0, 1e-40, 3e38])
def test_a_constant_tensor(value: float) -> None:
    held = histogram_of(np.full(100, value, np.float32))
    assert held.low == held.high == np.float32(value)
    middles, counts = held.centres()
    assert counts.tolist() == [100]
    assert abs(middles[0] - value) <= held.width


def test_all_zero_and_empty_tensors() -> None:
    held = histogram_of(np.zeros((2, 3), np.float32), np.zeros((0, 3), np.float32))
    assert (held.low, held.high, held.total, held.zeros) == (0, 0, 6, 6)
    assert not held.centres()[0].size
    assert histogram_of(np.zeros(0, np.float32)).low == np.inf


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_noticed_and_left_out(odd: float) -> None:
    held = histogram_of(np.array([1.0, odd, -2.0], np.float32), np.array([odd], np.float32))
    assert not held.finite
    assert (held.low, held.high, held.total, held.counts.sum()) == (-2, 1, 2, 2)
    assert histogram_of(np.array([1.0, -2.0], np.float32)).finite
