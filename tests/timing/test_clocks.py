"""What counts as the time of a query."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from optkit.timing.clocks import LONG, Clock, timed_block

needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who took the processor away")


def compute(seconds: float) -> None:
    """Compute for so many seconds of this thread, however long that takes."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.fixture
def crowded() -> Iterator[None]:
    """This thread shares one processor with two programs that compute all the while."""
    allowed = os.sched_getaffinity(0)
    one = {min(allowed)}
    os.sched_setaffinity(0, one)
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("clock", ["wall", "undisturbed"])
def test_a_model_that_waits_by_itself_is_as_slow_as_that(clock: Clock) -> None:
    assert np.median(timed_block(lambda: time.sleep(0.005), 5, clock)) >= 0.005


def test_the_threads_clock_leaves_waiting_out() -> None:
    assert timed_block(lambda: time.sleep(0.005), 5, "thread").max() < 0.005


@pytest.mark.slow
@needs_linux
def test_what_others_took_is_not_the_models(crowded: None) -> None:
    seconds = 0.02  # longer than a turn on a crowded processor
    wall, undisturbed = (timed_block(lambda: compute(seconds), 10, clock) for clock in ("wall", "undisturbed"))
    assert np.median(wall) > 1.5 * seconds
    assert seconds <= np.median(undisturbed) < 1.2 * seconds


@pytest.mark.slow
@needs_linux
def test_short_calls_that_were_interrupted_do_not_count(crowded: None) -> None:
    repeats = 20_000
    times = timed_block(lambda: compute(LONG / 10), repeats, "undisturbed")
    assert repeats / 2 < len(times) < repeats
    assert times.max() < 0.002  # a turn of others is longer


@pytest.mark.slow
def test_undisturbed_calls_all_count_in_their_order() -> None:
    lengths = iter([0.01, 0.21, 0.11])  # far apart: a busy machine wakes late
    times = timed_block(lambda: time.sleep(next(lengths)), 3, "undisturbed")
    assert list(np.argsort(times)) == [0, 2, 1]
