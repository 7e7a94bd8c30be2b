"""Calls timed in turns."""

import time
from collections.abc import Callable

import numpy as np

from optkit.runtimes._interleave import interleaved_times


def recorders(count: int, log: list[int]) -> list[Callable[[], None]]:
    return [lambda i=i: log.append(i) for i in range(count)]  # type: ignore[misc]


def test_every_round_holds_one_block_of_each_call() -> None:
    log: list[int] = []
    times = interleaved_times(recorders(3, log), seconds=0.01, rounds=(4, 6))
    assert len({len(rows) for rows in times}) == 1
    assert 4 <= len(times[0]) <= 6
    assert all(rows.ndim == 2 and (rows >= 0).all() for rows in times)
    rounds, block = len(times[0]), sum(rows.shape[1] for rows in times)
    timed = log[len(log) - rounds * block :]
    for r in range(rounds):
        counts = np.bincount(timed[r * block : (r + 1) * block], minlength=3)
        assert counts.tolist() == [rows.shape[1] for rows in times]


def test_the_order_is_drawn_with_the_seed() -> None:
    def order(seed: int) -> list[int]:
        log: list[int] = []

        def slow(i: int) -> Callable[[], None]:
            def call() -> None:
                log.append(i)
                time.sleep(0.003)

            return call

        interleaved_times([slow(i) for i in range(3)], seconds=0, rounds=(6, 6), seed=seed)
        return log[-18:]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_at_least_and_at_most_so_many_rounds() -> None:
    assert len(interleaved_times(recorders(1, []), seconds=0, rounds=(3, 9))[0]) == 3
    assert len(interleaved_times(recorders(1, []), seconds=60, rounds=(1, 2))[0]) == 2


def test_calls_that_take_long_are_repeated_less() -> None:
    times = interleaved_times([lambda: time.sleep(0.004), lambda: None], seconds=0.02, rounds=(2, 3))
    assert times[0].shape[1] == 1
    assert times[1].shape[1] > 100


def test_the_threads_clock_leaves_waiting_out() -> None:
    def wait() -> None:
        time.sleep(0.005)

    wall, thread = (interleaved_times([wait], seconds=0, rounds=(3, 3), clock=clock)[0] for clock in ("wall", "thread"))
    assert np.median(thread) < 0.005 <= np.median(wall)


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    interleaved_times(recorders(1, []), seconds=0, rounds=(2, 2), progress=lambda *said: told.append(said))
    assert told == [("timing", 100, 100)] * 2
