"""Memory of this process."""

import sys

import numpy as np
import pytest

from optkit.runtimes.memory import forget_peak, nvidia_memory_used, peak, resident

SIZE = 64 * 2**20


def test_the_peak_is_at_least_what_is_in_use() -> None:
    now = resident()  # read first: it may grow in between
    assert peak() >= now > 2**20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can forget the peak")
def test_the_peak_starts_anew_and_sees_memory_that_is_given_back() -> None:
    np.ones(2 * SIZE, np.uint8).sum()
    forget_peak()
    before = resident()
    assert peak() < before + SIZE // 2
    held = np.ones(SIZE, np.uint8)
    del held
    assert peak() - before + 2**20 >= SIZE
    assert resident() < before + SIZE // 2


def test_without_a_driver_nothing_is_known_of_a_device() -> None:
    used = nvidia_memory_used(0)
    assert used is None or used > 0
    assert nvidia_memory_used(10_000) is None
