"""Which weights become 0."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from optkit.errors import UsageError
from optkit.pruning.zeros import fits_two_of_four, largest_kept, sparsity_of, two_of_four

FLOATS = st.floats(-8, 8, width=32)


@given(arrays(np.float32, (3, 8), elements=FLOATS), st.sampled_from([0, 1]))
def test_exactly_two_of_every_four_along_the_axis_stay_and_they_are_the_largest(weight: np.ndarray, turned: int) -> None:
    mask = two_of_four(weight.T if turned else weight, 0 if turned else 1)
    rows, kept = (weight, mask.T if turned else mask)
    for start in (0, 4):
        four, stays = np.abs(rows[:, start : start + 4]), kept[:, start : start + 4]
        assert (stays.sum(axis=1) == 2).all()
        for values, stay in zip(four, stays, strict=True):
            assert values[stay].min() >= values[~stay].max()


def test_kernels_are_cut_along_their_input_channels() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 8, 3, 3))
    mask = two_of_four(weight, 1)
    assert (mask.reshape(5, 2, 4, 3, 3).sum(axis=2) == 2).all()
    assert fits_two_of_four((5, 8, 3, 3), 1)
    assert not fits_two_of_four((5, 3, 3, 3), 1)


@given(st.floats(0.05, 0.95), st.sampled_from(["global", "layer"]), st.integers(0, 100))
def test_the_share_asked_for_goes_and_nothing_smaller_stays(sparsity: float, scope: str, seed: int) -> None:
    dice = np.random.default_rng(seed)
    weights = {"a": dice.standard_normal((6, 10)), "b": dice.standard_normal((40, 5))}
    weights["a"][0, 0] = weights["b"][0, 0] = 9.0  # one that stays: a layer that would be emptied is refused
    masks = largest_kept(weights, sparsity, scope)  # type: ignore[arg-type]
    groups = [["a", "b"]] if scope == "global" else [["a"], ["b"]]
    for names in groups:
        kept = np.concatenate([np.abs(weights[name][masks[name]]) for name in names])
        gone = np.concatenate([np.abs(weights[name][~masks[name]]) for name in names])
        assert len(gone) == round((len(kept) + len(gone)) * sparsity)
        assert not len(gone) or kept.min() >= gone.max()


def test_a_layer_is_never_emptied() -> None:
    with pytest.raises(UsageError, match="leaves small none of its 4 weights") as caught:
        largest_kept({"small": np.full((2, 2), 1e-3), "large": np.ones((10, 10))}, 0.5, "global")
    assert "exclude" in str(caught.value.hint)


def test_sparsity_counts_exact_zeros() -> None:
    assert sparsity_of({"a": np.array([0.0, 1.0]), "b": np.array([1e-30, -0.0])}) == 0.5
    assert sparsity_of({}) == 0
