"""How errors are spread: the factor of an inverse, also of moments that rounding made indefinite."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.rounding.inverse_factor import DAMPING, inverse_factor


def moments(groups: int, count: int, seed: int) -> Array:
    x = np.random.default_rng(seed).normal(size=(groups, 3 * count, count))
    return np.asarray(x.transpose(0, 2, 1) @ x / (3 * count))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 10**6))
def test_its_square_is_the_inverse_of_the_damped_moments(groups: int, count: int, seed: int) -> None:
    held = moments(groups, count, seed)
    factor = inverse_factor(held)
    np.testing.assert_array_equal(factor, np.triu(factor))
    mean = np.trace(held, axis1=1, axis2=2) / count
    damped = held + (DAMPING * mean)[:, None, None] * np.eye(count)
    np.testing.assert_allclose(factor.transpose(0, 2, 1) @ factor @ damped, np.broadcast_to(np.eye(count), held.shape), atol=1e-8)


@pytest.mark.parametrize("groups", [1, 3])
def test_directions_of_less_than_nothing_are_damped_away(groups: int) -> None:
    held = moments(groups, 8, 0)
    held -= 0.5 * np.eye(8)
    assert np.linalg.eigvalsh(held).min() < -DAMPING
    factor = inverse_factor(held)
    assert np.isfinite(factor).all()
    assert (np.diagonal(factor, axis1=1, axis2=2) > 0).all()


def test_what_no_damping_helps_is_an_error() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        inverse_factor(-np.eye(3)[None])
