"""The cubic schedule of Zhu & Gupta."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from optkit.pruning.gradual import sparsity_at


@given(st.integers(1, 1000), st.floats(0.01, 0.99))
def test_it_rises_from_nothing_to_all_and_ever_more_slowly(last: int, final: float) -> None:
    assert sparsity_at(0, last, final) == 0
    assert sparsity_at(last, last, final) == sparsity_at(last + 5, last, final) == final
    steps = [sparsity_at(step, last, final) for step in range(last + 1)]
    gains = [after - before for before, after in itertools.pairwise(steps)]
    assert all(gain >= 0 for gain in gains)
    assert all(later <= earlier + 1e-12 for earlier, later in itertools.pairwise(gains))


def test_half_way_seven_eighths_are_done() -> None:
    assert sparsity_at(50, 100, 0.8) == 0.8 * 7 / 8
