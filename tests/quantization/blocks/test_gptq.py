"""GPTQ in groups: less error on what it learned from, and nearest rounding where inputs tell nothing about each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.quantization.blocks.blocked import Blocked, Scheme
from optkit.quantization.blocks.gptq import gptq, row_errors, weighted_grid
from optkit.quantization.blocks.round_to_nearest import on_grid, round_to_nearest

from .small import draw


def moments_of_inputs(inputs: int, seed: int, count: int = 400) -> Array:
    """Of inputs that go together and differ in strength, as activations do."""
    x = draw(count, inputs, seed=seed) @ draw(inputs, inputs, seed=seed + 1, scale=0.3) + draw(inputs, seed=seed + 2) ** 2
    return np.asarray(x.T @ x / count, np.float32)


@pytest.mark.slow
@given(st.integers(0, 99), st.sampled_from([(4, 16), (4, 32), (4, 64), (8, 32)]), st.booleans(), st.sampled_from([64, 90]))
@settings(deadline=None, max_examples=25)
def test_never_worse_on_the_examples_than_to_the_nearest(seed: int, kind: tuple[int, int], symmetric: bool, inputs: int) -> None:
    rows, moments, scheme = draw(9, inputs, seed=seed), moments_of_inputs(inputs, seed), Scheme(*kind, symmetric)
    learned, nearest = gptq(rows, moments, scheme), round_to_nearest(rows, scheme)
    assert (row_errors(rows - learned.real(), moments) <= row_errors(rows - nearest.real(), moments)).all()
    assert learned.integers.max() <= scheme.top


def test_gains_several_decibels_on_inputs_that_go_together() -> None:
    rows, moments = draw(32, 128), moments_of_inputs(128, 5)
    learned, nearest = gptq(rows, moments, Scheme()), round_to_nearest(rows, Scheme())
    gain = 10 * np.log10(row_errors(rows - nearest.real(), moments).sum() / row_errors(rows - learned.real(), moments).sum())
    assert gain > 3


def test_nothing_to_learn_is_nearest_rounding_on_its_grid() -> None:
    rows = draw(8, 96)
    grid = on_grid(rows, *weighted_grid(rows, np.ones(96), Scheme()), Scheme())
    learned = gptq(rows, np.eye(96, dtype=np.float32), Scheme())
    error, best = ((rows - h.real()) ** 2 for h in (learned, grid))
    np.testing.assert_allclose(error.sum(axis=1), best.sum(axis=1), rtol=1e-5)


def test_the_grid_minds_the_inputs_with_energy() -> None:
    rows = draw(200, 32)
    energy = np.full(32, 1e-6)
    energy[3] = 1.0
    spent = on_grid(rows, *weighted_grid(rows, energy, Scheme()), Scheme())
    assert ((rows - spent.real())[:, 3] ** 2).mean() < 0.5 * ((rows - round_to_nearest(rows, Scheme()).real())[:, 3] ** 2).mean()


def test_close_to_the_best_of_all_roundings() -> None:
    """Four weights have few enough neighbours to try them all."""
    rows, moments = draw(6, 16), moments_of_inputs(16, 11)
    rows[:, 4:] = 0
    learned = gptq(rows, moments, Scheme(4, 16))
    found = row_errors(rows - learned.real(), moments)
    for row in range(len(rows)):
        base = learned.integers[row].astype(int)
        least = np.inf
        for shift in np.ndindex(3, 3, 3, 3):
            tried = base.copy()
            tried[:4] = np.clip(base[:4] + np.array(shift) - 1, 0, 15)
            held = Blocked(tried[None].astype(np.uint8), learned.scales[row : row + 1], learned.zeros[row : row + 1], learned.scheme)
            least = min(least, float(row_errors(rows[row : row + 1] - held.real(), moments)[0]))
        assert found[row] <= 3 * least + 1e-6


def test_inputs_never_seen_do_no_harm() -> None:
    rows, moments = draw(8, 64), moments_of_inputs(64, 1)
    moments[10:20] = moments[:, 10:20] = 0
    held = gptq(rows, moments, Scheme())
    assert np.isfinite(held.real()).all()
    assert np.abs(held.real() - rows)[:, 10:20].max() < 1.0
    assert np.isfinite(gptq(rows, np.zeros((64, 64), np.float32), Scheme()).real()).all()


@pytest.mark.parametrize("inputs", [300])
def test_blocks_of_inputs_are_seamless(inputs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, moments = draw(5, inputs), moments_of_inputs(inputs, 2)
    whole = gptq(rows, moments, Scheme())
    monkeypatch.setattr("optkit.quantization.blocks.gptq.BLOCK", inputs)
    np.testing.assert_array_equal(gptq(rows, moments, Scheme()).integers, whole.integers)
