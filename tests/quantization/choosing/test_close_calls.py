"""Variants too close to call are raced again alone; those that are clear are not."""

from dataclasses import replace
from typing import Any

import pytest

from optkit.quantization.choosing.close_calls import MOST, in_question, raced_again
from optkit.quantization.variants.trial import Trial
from optkit.quantization.variants.wishes import Wishes
from optkit.stats.interval import Interval

from .test_decide import ORIGINAL, trial

WISHES = Wishes(seconds=2)


class Races:
    """A bench of which a race gives every variant the same time."""

    def __init__(self) -> None:
        self.size, self.raced = ORIGINAL, list[tuple[list[str], float]]()

    def time(self, trials: list[Trial], seconds: float) -> list[Trial]:
        self.raced.append(([t.name for t in trials], seconds))
        return [replace(t, ratio=Interval(0.6, 0.6, 0.6)) for t in trials]


def names(trials: list[Trial]) -> list[str]:
    return [t.name for t in trials]


@pytest.mark.parametrize(
    ("trials", "close"),
    [
        ([trial("one", 0.50), trial("other", 0.51)], ["one", "other"]),
        ([trial("one", 0.50), trial("slower", 0.60)], ["one"]),
        # what lacks in room counts as time: 22 dB of 30 at 0.50 costs as much as 0.54
        ([trial("lossy", 0.50, sqnr=22), trial("slower", 0.54)], ["lossy", "slower"]),
        ([trial("lossy", 0.50, sqnr=22), trial("as fast", 0.50)], ["as fast"]),
        ([trial("unsure", (0.60, 0.45, 0.75)), trial("sure", 0.58)], ["sure", "unsure"]),
        ([trial(str(place), 0.5) for place in range(MOST + 2)], [str(place) for place in range(MOST)]),
        ([], []),
    ],
)
def test_in_question_is_what_may_be_better_than_the_best(trials: list[Trial], close: list[str]) -> None:
    assert names(in_question(trials, WISHES)) == close


def test_only_what_is_in_question_is_timed_anew() -> None:
    bench: Any = Races()
    trials = [
        trial("slow", 0.9),
        trial("one", 0.50),
        trial("bad", 0.3, good=False),
        trial("other", 0.51),
        trial("large", 0.5, size=ORIGINAL),
    ]
    found = raced_again(bench, trials, WISHES)
    assert bench.raced == [(["one", "other"], 2)]
    assert names(found) == names(trials)
    assert [t.ratio.value for t in found if t.ratio is not None] == [0.9, 0.6, 0.3, 0.6, 0.5]


def test_what_is_clear_is_not_raced_again() -> None:
    bench: Any = Races()
    trials = [trial("slow", 0.9), trial("fast", 0.50)]
    assert raced_again(bench, trials, WISHES) == trials
    assert raced_again(bench, [trial("bad", 0.3, good=False)], WISHES)[0].ratio == Interval(0.3, 0.29, 0.31)
    assert bench.raced == []
