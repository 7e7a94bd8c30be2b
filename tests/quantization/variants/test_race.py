"""Races over inputs that take unlike times: what counts is what all of them take together. The stopwatch is not real."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from optkit.quantization.variants import race as racing
from optkit.quantization.variants.race import agree, judged_feeds, race, raced_feeds
from optkit.timing import clocks
from optkit.timing import typical as picking
from optkit.timing.typical import Typical

LENGTHS = [8] * 12 + [16] * 8 + [64] * 2 + [256] * 2
"""As sorted as data often is."""
SECONDS: Mapping[str, Callable[[int], float]] = {
    "original": lambda length: 1e-6 * length,
    "good at short ones": lambda length: 1e-6 * (0.5 * length if length < 100 else 1.1 * length),
    "good at long ones": lambda length: 1e-6 * (6 + 0.5 * length),
}


class Model:
    """A session whose answers take what `SECONDS` says of an input's length."""

    def __init__(self, clock: SimpleNamespace, path: Path, device: str = "cpu", threads: int = 1) -> None:
        self.clock, self.seconds = clock, SECONDS[path.name]

    def run(self, feed: Mapping[str, Any]) -> None:
        self.clock.now += self.seconds(int(feed["length"]))

    def bind(self, feed: Mapping[str, Any]) -> Callable[[], None]:
        return partial(self.run, feed)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Model]:
    clock = SimpleNamespace(now=0.0)
    clock.perf_counter = clock.thread_time = lambda: clock.now
    for module in (clocks, picking):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(racing, "open_session", partial(Model, clock))
    return lambda name: Model(clock, Path(name))


def raced(opened: Callable[[str], Any], lengths: Sequence[int]) -> Typical:
    return raced_feeds(opened("original"), [{"length": np.array(length)} for length in lengths], "cpu", 1)


def ratios(feeds: Any, names: Sequence[str] = tuple(SECONDS)) -> list[float]:
    found = race([Path(name) for name in names], feeds, seconds=0.06, threads=1, device="cpu", seed=0)
    assert all(each.low <= each.value <= each.high for each in found)
    return [each.value for each in found]


@pytest.mark.parametrize("arranged", [np.sort, np.random.default_rng(1).permutation])
def test_the_one_that_takes_less_for_all_inputs_together_wins(opened: Callable[[str], Model], arranged: Any) -> None:
    total = {name: sum(map(seconds, LENGTHS)) for name, seconds in SECONDS.items()}
    assert total["good at long ones"] < total["good at short ones"] < total["original"]
    mix = raced(opened, arranged(LENGTHS))
    _, short, long = ratios(mix)
    assert long < short < 1
    assert short == pytest.approx(total["good at short ones"] / total["original"], abs=0.04)
    assert long == pytest.approx(total["good at long ones"] / total["original"], abs=0.04)


def test_the_first_inputs_alone_would_have_told_the_opposite(opened: Callable[[str], Model]) -> None:
    _, short, long = ratios([{"length": length} for length in LENGTHS[:4]])
    assert short < 1 < long


def test_every_model_answers_every_input_equally_often(opened: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[int]] = {name: [] for name in SECONDS}

    class Logged(Model):
        def __init__(self, path: Path, *place: Any) -> None:
            super().__init__(clock, path, *place)
            self.name = path.name

        def run(self, feed: Mapping[str, Any]) -> None:
            super().run(feed)
            seen[self.name].append(int(feed["length"]))

    clock = opened("original").clock
    monkeypatch.setattr(racing, "open_session", Logged)
    mix = raced(opened, LENGTHS)
    race([Path(name) for name in SECONDS], mix, seconds=0.05, threads=1, device="cpu", seed=0)
    mixed = sorted(int(feed["length"]) for feed in mix.feeds)
    for lengths in seen.values():
        assert len(lengths) % len(mixed) == 0
        assert all(sorted(lengths[i : i + len(mixed)]) == mixed for i in range(0, len(lengths), len(mixed)))


def test_inputs_that_take_alike_are_raced_one_by_one(opened: Callable[[str], Model]) -> None:
    mix = raced(opened, [8] * 9)
    assert mix.alike
    assert len(mix.feeds) == racing.RACED.alike
    assert ratios(mix)[1] == pytest.approx(0.5)


@pytest.mark.parametrize(("length", "judged"), [(10, 40), (2 * 10**5, 25), (10**6, 16), (10**8, 16)])
def test_of_what_takes_long_fewer_inputs_are_judged(opened: Callable[[str], Any], length: int, judged: int) -> None:
    """As many of the first as take five seconds, a microsecond for each unit of length, but sixteen in any case."""
    feeds = [{"length": np.array(length), "place": np.array(place)} for place in range(40)]
    found = judged_feeds(opened("original"), feeds, "cpu", 1)
    assert [int(feed["place"]) for feed in found] == list(range(judged))
    assert judged_feeds(opened("original"), feeds[:5], "cpu", 1) == feeds[:5]


@pytest.mark.parametrize(
    ("rounds", "spread", "over"), [(8, 0.0, False), (9, 0.0, True), (9, 0.1, False), (30, 0.02, False), (30, 0.005, True)]
)
def test_a_race_is_over_once_enough_rounds_agree(rounds: int, spread: float, over: bool) -> None:
    dice = np.random.default_rng(0)
    slow = dice.uniform(1, 2, rounds)  # what slows both down does not matter
    times = [[slow[r] * ratio * np.exp(spread * dice.normal()) * np.ones(5) for r in range(rounds)] for ratio in (1.0, 0.5, 0.7)]
    assert agree(times) is over
