import numpy as np
import pytest

from optkit.layers.laid_out import laid_out

SIGNAL = np.arange(24, dtype=np.float32).reshape(1, 4, 6)


@pytest.mark.parametrize("like", [(1, 4, 1, 9), (1, 4, 9, 1), (1, 4, 9)])
def test_signals_are_lines_columns_or_rows(like: tuple[int, ...]) -> None:
    made = laid_out(SIGNAL, like)
    assert made.shape == tuple(1 if size == 1 else {4: 4, 9: 6}[size] for size in like)
    np.testing.assert_array_equal(laid_out(made, SIGNAL.shape), SIGNAL)


def test_channels_of_zeros_come_and_go() -> None:
    narrow = np.ones((2, 24, 3, 3), np.float32)
    wide = laid_out(narrow, (5, 32, 3, 3))
    assert wide.shape == (2, 32, 3, 3)
    assert not wide[:, 24:].any()
    np.testing.assert_array_equal(laid_out(wide, narrow.shape), narrow)


def test_what_is_of_another_shape_stays() -> None:
    for like in ((1, 4, 7, 8), (1, 5, 6), (24,)):
        assert laid_out(SIGNAL, like).shape == SIGNAL.shape
