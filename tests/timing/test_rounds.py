"""Rounds that open the models anew."""

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optkit.arrays import Array
from optkit.timing import clocks
from optkit.timing import lanes as _lanes
from optkit.timing import rounds as _rounds
from optkit.timing.lanes import MANY, Here, Opener
from optkit.timing.rounds import FEWEST_ROUNDS, LOOKS, MOST_ROUNDS, SHORTEST_BLOCK, Rounds, time_rounds


def lanes(opened: list[int], log: list[tuple[int, int]], models: int = 2, feeds: int = 3, opening: float = 0.0) -> list[Here]:
    """Models that log (model, feed) of every query, and each opening."""

    def opener(model: int) -> Opener:
        def open_and_bind() -> list[Callable[[], None]]:
            time.sleep(opening)
            opened.append(model)
            return [lambda feed=feed: log.append((model, feed)) for feed in range(feeds)]  # type: ignore[misc]

        return open_and_bind

    return [Here(opener(model)) for model in range(models)]


class Ticking:
    """A clock that goes on by a hundredth of a millisecond whenever it is looked at, however busy the machine is."""

    now = 0.0

    def perf_counter(self) -> float:
        self.now += 1e-5
        return self.now

    process_time = perf_counter


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Ticking:
    clock = Ticking()
    for module in (_rounds, clocks, _lanes):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.mark.usefixtures("ticking")
def test_models_that_open_fast_are_opened_for_every_round() -> None:
    opened: list[int] = []
    times = time_rounds(lanes(opened, []), seconds=0.15)
    rounds = len(times[0])
    assert len(times[1]) == rounds
    assert FEWEST_ROUNDS <= rounds <= MOST_ROUNDS
    assert sorted(opened) == [0] * rounds + [1] * rounds


def test_models_that_open_slowly_stay_open() -> None:
    opened: list[int] = []
    times = time_rounds(lanes(opened, [], opening=0.02), seconds=0.05)
    assert sorted(opened) == [0, 1]
    assert FEWEST_ROUNDS <= len(times[0]) <= MOST_ROUNDS


@pytest.mark.usefixtures("ticking")
def test_all_models_answer_the_same_feed_in_each_lap() -> None:
    log: list[tuple[int, int]] = []
    time_rounds(lanes([], log, models=3), seconds=0.15)
    blocks = [log[i] for i in range(len(log)) if i == 0 or log[i] != log[i - 1]]
    laps = [blocks[i : i + 3] for i in range(len(blocks) - 3)]
    whole = [lap for lap in laps if len({feed for _, feed in lap}) == 1 and {model for model, _ in lap} == {0, 1, 2}]
    assert len(whole) >= len(laps) // 4
    assert {feed for _, feed in log} == {0, 1, 2}


def test_every_query_that_was_asked_for_is_kept_in_its_round() -> None:
    class Counting(Here):
        asked = 0

        def block(self, feed: int, repeats: int) -> Array:
            self.asked += repeats
            return super().block(feed, repeats)

    pair = [Counting(each.opener) for each in lanes([], [], opening=0.02)]
    times = time_rounds(pair, seconds=0.01)
    assert [sum(map(len, rounds)) for rounds in times] == [each.asked for each in pair]
    assert all((values >= 0).all() and len(values) for rounds in times for values in rounds)


def test_a_model_that_binds_fewer_feeds_sets_the_number_for_all() -> None:
    log: list[tuple[int, int]] = []
    time_rounds([*lanes([], log, models=1, feeds=3), *lanes([], [], models=1, feeds=1)], seconds=0.05)
    assert {feed for _, feed in log} == {0}


def test_progress_counts_rounds() -> None:
    told: list[tuple[str, int, int]] = []
    time_rounds(lanes([], [], opening=0.02), seconds=0.0, progress=lambda *said: told.append(said))
    assert told == [("timing", done, FEWEST_ROUNDS) for done in range(1, FEWEST_ROUNDS + 1)]


def test_it_ends_as_soon_as_enough_is_known() -> None:
    asked: list[int] = []

    def enough(times: Rounds) -> bool:
        asked.append(len(times[0]))
        return len(times[0]) >= LOOKS[1]

    times = time_rounds(lanes([], []), seconds=0.5, enough=enough)
    assert [len(each) for each in times] == [LOOKS[1], LOOKS[1]]
    assert asked == list(LOOKS[:2])


def test_everything_is_let_go_of_whatever_happens() -> None:
    class Broken(Here):
        ended = False

        def block(self, feed: int, repeats: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
            raise RuntimeError("it broke")

        def end(self) -> None:
            self.ended = True

    lane = Broken(lanes([], [])[0].opener)
    with pytest.raises(RuntimeError, match="it broke"):
        time_rounds([lane], seconds=0.01)
    assert lane.ended


@pytest.mark.parametrize(("repeats", "asked"), [(1, 1), (MANY - 1, MANY - 1), (MANY, MANY + 1)])
def test_the_first_query_of_a_long_block_does_not_count(repeats: int, asked: int, ticking: Ticking) -> None:
    queries: list[None] = []

    def slow_at_first() -> None:
        ticking.now += 1 if queries else 20
        queries.append(None)

    lane = Here(list)
    lane.calls = [slow_at_first]
    times = lane.block(0, repeats)
    assert (len(times), len(queries)) == (repeats, asked)
    assert round(times.max()) == (20 if asked == repeats else 1)
    assert round(lane.cpu) == round(times.sum())


class OneByOne(Here):
    """Answers once in a block."""

    def block(self, feed: int, repeats: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return super().block(feed, 1)


@pytest.mark.parametrize("whole", [False, True])
def test_whole_laps_give_every_feed_its_turn_in_every_round(whole: bool) -> None:
    log: list[tuple[int, int]] = []
    ends: list[int] = []
    slow = [OneByOne(each.opener) for each in lanes([], log, feeds=5, opening=0.01)]
    time_rounds(slow, seconds=0.0, whole_laps=whole, progress=lambda *_: ends.append(len(log)))
    for start, end in pairwise(ends):
        turns = [[feed for model, feed in log[start:end] if model == which] for which in (0, 1)]
        assert turns[0] == turns[1]
        assert sorted(turns[0]) == list(range(5)) if whole else len(turns[0]) == 1


class Colder:
    """A model of which the first query in a block takes a tenth longer, and whose warming up said `told`."""

    feeds, cpu, openings = 1, 0.0, 0

    def __init__(self, seconds: float, told: float, clock: Ticking) -> None:
        self.seconds, self.told, self.clock = seconds, told, clock
        self.blocks: list[int] = []

    def open(self) -> float:
        return self.told

    def block(self, feed: int, repeats: int) -> Array:
        self.blocks.append(repeats)
        times = np.full(repeats, self.seconds)
        times[0] *= 1.1
        self.clock.now += times.sum()
        return times

    def close(self) -> None:
        pass

    end = close


@given(st.floats(1e-5, 0.05), st.floats(0.8, 1.25), st.sampled_from([0.5, 2.0, 6.0, 10.0]))
def test_a_copy_that_seemed_faster_while_it_warmed_up_takes_as_long(seconds: float, luck: float, given_time: float) -> None:
    """The first query after another model's is slower, so as many of both models' have to be first ones."""
    clock = Ticking()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_rounds, "time", clock)
        pair = [Colder(seconds, seconds * told, clock) for told in (1, luck)]
        times = time_rounds(pair, seconds=given_time)
    medians = [np.median(np.concatenate(rounds)) for rounds in times]
    assert medians[0] == pytest.approx(medians[1])
    assert pair[0].blocks == pair[1].blocks
    assert pair[0].blocks[0] * seconds * min(1, luck) >= 0.99 * SHORTEST_BLOCK


def test_a_much_faster_model_answers_more_often_so_that_its_blocks_are_no_shorter_than_the_shortest() -> None:
    clock = Ticking()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_rounds, "time", clock)
        slow, fast = (Colder(seconds, seconds, clock) for seconds in (0.02, 1e-4))
        time_rounds([slow, fast], seconds=2.0)
    assert set(slow.blocks) == {1}
    assert set(fast.blocks) == {20}
