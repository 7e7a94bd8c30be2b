import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.stats.multiple import holm


def test_by_hand() -> None:
    """Ascending: .005·4, .01·3, .03·2, .04·1, and none below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_no_p_gets_smaller_their_order_stays_and_one_alone_is_not_corrected(chances: list[float]) -> None:
    found = np.array(holm(chances))
    assert (found >= np.array(chances) - 1e-12).all()
    assert (found <= 1).all()
    assert (np.diff(found[np.argsort(chances, kind="stable")]) >= 0).all()
    assert holm(chances[:1]) == chances[:1]


def test_false_alarms_of_twenty_differences_that_are_none() -> None:
    rng = np.random.default_rng(0)
    alarms = sum(min(holm(rng.random(20).tolist())) < 0.05 for _ in range(1000))
    assert 25 <= alarms <= 75
