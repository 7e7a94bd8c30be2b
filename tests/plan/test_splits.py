import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.datasets import Examples
from optkit.errors import DataError
from optkit.plan.splits import MOST_CALIBRATION, divide


def examples(count: int, groups: list[int] | None = None) -> Examples:
    x = np.arange(count, dtype=np.float32)
    return Examples("d.npz", {"x": x[:, None]}, labels=x.astype(np.int64), groups=None if groups is None else np.array(groups))


@given(st.integers(2, 3000), st.integers(0, 2**32 - 1))
def test_every_example_serves_exactly_one_purpose(count: int, seed: int) -> None:
    parts = divide(examples(count), seed)
    rows = [int(row) for part in parts.values() for row in part.arrays["x"][:, 0]]
    assert sorted(rows) == list(range(count))
    assert 1 <= len(parts["calibration"]) <= MOST_CALIBRATION
    assert len(parts["evaluation"]) >= len(parts["calibration"])
    for part in parts.values():
        assert part.labels is not None
        assert (part.labels == part.arrays["x"][:, 0]).all()


@given(st.lists(st.integers(0, 8), min_size=2, max_size=60).filter(lambda groups: len(set(groups)) > 1), st.integers(0, 99))
def test_examples_of_one_group_stay_together(groups: list[int], seed: int) -> None:
    parts = divide(examples(len(groups), groups), seed)
    seen = [set(part.groups.tolist()) for part in parts.values() if part.groups is not None]
    assert len(seen) == 2
    assert not seen[0] & seen[1]


def test_the_same_seed_divides_alike_and_another_otherwise() -> None:
    first, again, other = (divide(examples(100), seed)["calibration"].digest for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("one", [examples(1), examples(5, [3] * 5)])
def test_one_example_cannot_be_divided(one: Examples) -> None:
    with pytest.raises(DataError, match=r"d\.npz: one example cannot serve both"):
        divide(one)
