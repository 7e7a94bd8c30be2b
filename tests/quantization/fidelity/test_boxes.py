"""Boxes in either writing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.fidelity.boxes import from_centres, from_corners, reading_of, same_boxes

from ..tiny import draw


def boxes(seed: int, count: int = 40, size: float = 640) -> Array:
    """Corners of boxes in an image."""
    rng = np.random.default_rng(seed)
    sides = rng.uniform(0.05, 0.6, (count, 2)) * size
    first = rng.uniform(0, 1, (count, 2)) * (size - sides)
    return np.concatenate([first, first + sides], axis=1)


def to_centres(corners: Array) -> Array:
    return np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 64.0, 320.0, 1280.0]))
def test_the_writing_is_told_by_what_makes_sense(seed: int, size: float) -> None:
    corners = boxes(seed, size=size)
    assert reading_of(corners) is from_corners
    assert reading_of(to_centres(corners)) is from_centres
    np.testing.assert_allclose(from_centres(to_centres(corners)), corners)


@pytest.mark.parametrize("values", [np.zeros((0, 4)), 2 * draw(5, 4), draw(5, 3, scale=100), np.array([[300.0, 300, -2, 1]])])
def test_other_numbers_are_no_boxes(values: Array) -> None:
    assert reading_of(values) is None


def test_boxes_are_the_same_where_they_share_half_of_what_either_covers() -> None:
    truth = np.array([[10.0, 20, 110, 220], [50, 60, 90, 80], [5, 5, 35, 45]])
    got = truth + np.array([[30, 0, 30, 0], [20, 0, 20, 0], [0, 0, 0, 0]])  # 70 of 130 in common, 20 of 60, all
    np.testing.assert_array_equal(same_boxes(truth, got), [True, False, True])
    np.testing.assert_array_equal(same_boxes(truth, got[:, [2, 3, 0, 1]]), [False] * 3)  # turned inside out they cover nothing
