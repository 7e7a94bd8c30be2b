"""What is held out is drawn by seed, whole groups at a time, and nothing is in both parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.datasets import Examples
from optkit.errors import DataError
from optkit.training.holding_out import FEWEST, hold_out


def examples(count: int, groups: np.ndarray | None = None) -> Examples:
    return Examples("made", {"x": np.zeros((count, 1), np.float32)}, groups=groups)


@given(st.integers(20, 300), st.floats(0.05, 0.5), st.integers(0, 2**32 - 1))
def test_both_parts_together_are_everything_once(count: int, share: float, seed: int) -> None:
    learned, held = hold_out(examples(count), share, seed)
    assert sorted([*learned, *held]) == list(range(count))
    assert len(held) == max(2, round(count * share))
    again = hold_out(examples(count), share, seed)
    assert np.array_equal(held, again[1])


@pytest.mark.slow
@given(st.lists(st.integers(0, 30), min_size=60, max_size=200), st.integers(0, 1000))
def test_no_group_is_divided(numbers: list[int], seed: int) -> None:
    groups = np.array([*numbers, *range(31)])
    learned, held = hold_out(examples(len(groups), groups), 0.2, seed)
    assert not set(groups[learned]) & set(groups[held])
    assert len(set(groups[held])) == round(31 * 0.2)


def test_other_seeds_hold_out_others() -> None:
    assert not np.array_equal(hold_out(examples(200), 0.1, 0)[1], hold_out(examples(200), 0.1, 1)[1])


def test_a_share_of_nothing_holds_nothing_out() -> None:
    learned, held = hold_out(examples(FEWEST), 0, 0)
    assert (len(learned), len(held)) == (FEWEST, 0)


@pytest.mark.parametrize(
    ("count", "groups", "says"),
    [
        (9, None, "9 examples are too few to train on with 2 of them held out"),
        (40, np.arange(40) // 8, "5 groups of examples are too few to train on"),
    ],
)
def test_too_little_is_said(count: int, groups: np.ndarray | None, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        hold_out(examples(count, groups), 0.1, 0)
    assert caught.value.hint is not None
    assert "at least 10" in caught.value.hint
