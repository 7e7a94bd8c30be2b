"""Which inputs are timed where a model takes longer for some than for others."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.timing import clocks
from optkit.timing import typical as picking
from optkit.timing.typical import Typical, Wanted, like_all, typical

Feed = Mapping[str, Any]


class Stopwatch:
    """A clock that moves by what an input takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.answered = 0
        monkeypatch.setattr(clocks, "time", self)
        monkeypatch.setattr(picking, "time", self)

    def perf_counter(self) -> float:
        return self.now

    thread_time = perf_counter

    def answer(self, feed: Feed) -> None:
        self.answered += 1
        self.now += float(feed["seconds"])


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> Stopwatch:
    return Stopwatch(monkeypatch)


def feeds(*seconds: float) -> list[Feed]:
    return [{"seconds": each} for each in seconds]


def taken(found: Typical) -> list[float]:
    return [float(feed["seconds"]) for feed in found.feeds]


FEW = Wanted(alike=4, least=9, most=15, seconds=0.001)


def test_where_all_take_alike_a_few_from_all_over_do(stopwatch: Stopwatch) -> None:
    given_feeds = feeds(*np.linspace(1e-3, 1.2e-3, 40))
    found = typical(stopwatch.answer, given_feeds, FEW)
    assert found.alike
    assert [given_feeds.index(feed) for feed in found.feeds] == [0, 13, 26, 39]


def test_chance_in_calls_of_microseconds_is_not_taken_for_their_inputs(stopwatch: Stopwatch) -> None:
    dice = np.random.default_rng(0)

    def answer(feed: Feed) -> None:
        stopwatch.now += float(feed["seconds"]) * (1 + dice.exponential(1.0))

    assert typical(answer, feeds(*[5e-6] * 40), FEW).alike
    assert not typical(answer, feeds(*[5e-6, 20e-6] * 20), FEW).alike


def test_other_work_that_makes_a_few_long_makes_no_mix(stopwatch: Stopwatch) -> None:
    """One call in five waits for something else, however long a call takes; each input is asked once where that is 20 ms and more."""
    dice = np.random.default_rng(1)

    def answer(feed: Feed) -> None:
        stopwatch.now += float(feed["seconds"]) * (1 if dice.random() < 0.8 else 1.6)

    assert typical(answer, feeds(*[0.03] * 40), FEW).alike
    assert not typical(answer, feeds(*[0.03, 0.045] * 20), FEW).alike


@pytest.mark.parametrize("seconds", [2e-5, 2e-3, 0.03])
@pytest.mark.parametrize("busy", [0.3, 0.6])
def test_a_machine_busy_most_of_the_time_makes_no_mix(stopwatch: Stopwatch, seconds: float, busy: float) -> None:
    """Of 48 inputs some are slow whenever they are looked at, by chance; the slowest alone is asked again until that shows."""
    alike, mixed = 0, 0
    for seed in range(25):
        dice = np.random.default_rng(seed)

        def answer(feed: Feed, dice: np.random.Generator = dice) -> None:
            stopwatch.now += float(feed["seconds"]) * (1 + dice.exponential(0.5) * (dice.random() < busy))

        alike += typical(answer, feeds(*[seconds] * 48), FEW).alike
        mixed += not typical(answer, feeds(*[seconds, 3 * seconds] * 24), FEW).alike
    assert alike >= 24
    assert mixed >= 24


LONG_TAIL = np.repeat([1e-4, 2e-4, 4e-4, 16e-4, 30e-4], [12, 12, 12, 8, 4])


@pytest.mark.parametrize("arranged", [np.sort, np.random.default_rng(3).permutation])
def test_where_they_differ_the_few_take_what_all_take(stopwatch: Stopwatch, arranged: Any) -> None:
    """However the data is sorted; the first four, which were taken once, are off by a factor where it is."""
    seconds = arranged(LONG_TAIL)
    found = typical(stopwatch.answer, feeds(*seconds), FEW)
    assert not found.alike
    assert len(found.feeds) == FEW.least
    assert np.mean(taken(found)) == pytest.approx(np.mean(seconds), rel=0.1)
    assert np.mean(np.square(taken(found))) == pytest.approx(np.mean(np.square(seconds)), rel=0.15)
    assert taken(found)[0] == min(taken(found), key=lambda each: abs(each - np.mean(seconds)))


def test_there_are_as_many_as_time_allows(stopwatch: Stopwatch) -> None:
    found = typical(stopwatch.answer, feeds(*LONG_TAIL / 100), FEW)
    assert len(found.feeds) == FEW.most
    assert np.mean(taken(found)) == pytest.approx(np.mean(LONG_TAIL) / 100, rel=0.02)
    assert [FEW.of(mean) for mean in (1e-9, 9e-5, 1e-4, 1.0)] == [15, 11, 9, 9]


def test_slow_inputs_are_looked_at_once_and_few_of_them(stopwatch: Stopwatch) -> None:
    found = typical(stopwatch.answer, feeds(*[1.0, 5.0] * 20), FEW)
    assert stopwatch.answered == 3
    assert 1 <= len(found.feeds) <= 4


def test_one_input_is_all_there_is(stopwatch: Stopwatch) -> None:
    found = typical(stopwatch.answer, feeds(1.0), FEW)
    assert (found.alike, taken(found), stopwatch.answered) == (True, [1.0], 0)


@pytest.mark.slow
@given(times=st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=40), count=st.integers(1, 8))
def test_each_stratum_gives_one(times: list[float], count: int) -> None:
    found = like_all(dict(enumerate(times)), count)
    assert len(found) == len(set(found)) == min(count, len(times))
    ranks = np.argsort(np.argsort(times, kind="stable"))
    parts = np.array_split(np.arange(len(times)), len(found))
    assert all(sum(ranks[place] in part for place in found) == 1 for part in parts)
    assert like_all(dict(enumerate(times)), count) == found
