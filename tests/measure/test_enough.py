"""When timing may stop before its time is over."""

import numpy as np
import pytest

from optkit.measure._enough import Wish, enough
from optkit.stats.interval import Interval
from optkit.stats.ratio import ratio_of_medians
from optkit.timing.rounds import LOOKS


def rounds(
    dice: np.random.Generator, ratio: float, count: int, noise: float = 0.03
) -> list[list[np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    """Times of two models; what differs from round to round is the memory that each happens to get."""
    return [[scale * np.exp(dice.normal(0, noise)) * (1 + 0.01 * dice.random(20)) for _ in range(count)] for scale in (1.0, ratio)]


@pytest.mark.parametrize(
    ("wish", "ratio", "known"),
    [
        (Wish(precision=0.01), Interval(0.5, 0.496, 0.504), True),
        (Wish(precision=0.01), Interval(0.5, 0.49, 0.51), False),
        (Wish(limit=1.0), Interval(0.9, 0.88, 0.92), True),
        (Wish(limit=1.0), Interval(1.2, 1.15, 1.25), True),
        (Wish(limit=1.0), Interval(0.9, 0.81, 0.99), False),
        (Wish(limit=1.0, precision=0.001), Interval(0.9, 0.88, 0.92), False),
    ],
)
def test_what_is_enough(wish: Wish, ratio: Interval, known: bool) -> None:
    assert wish.fulfilled(ratio, 30) is known


def test_without_a_wish_all_time_is_used() -> None:
    assert enough(Wish(), 0, lambda: 6) is None


def test_every_model_must_be_known() -> None:
    dice = np.random.default_rng(0)
    quiet, loud = rounds(dice, 0.5, 9, 0.001), rounds(dice, 0.5, 9, 0.3)
    stop = enough(Wish(precision=0.02), 0, lambda: 6)
    assert stop is not None
    assert stop(quiet)
    assert not stop([*quiet, loud[1]])


def test_of_a_mix_of_queries_their_mean_decides_and_not_the_typical_one() -> None:
    """Two of three queries take as long as before, and the third, which takes ten times as long, half of that."""
    dice = np.random.default_rng(0)
    plain, faster = (np.tile([1.0, 1.0, long], 7) for long in (10.0, 5.0))
    times = [[row * np.exp(dice.normal(0, 0.005)) for _ in range(9)] for row in (plain, faster)]
    by_median, by_mean = (enough(Wish(limit=1.0), 0, lambda: 9, mixed=mixed) for mixed in (False, True))
    assert by_median is not None
    assert by_mean is not None
    assert not by_median(times)
    assert by_mean(times)


@pytest.mark.slow
def test_looking_often_finds_no_more_by_chance_than_looking_once() -> None:
    """At the limit itself, in 400 runs, whatever is claimed too often is claimed too often without looking early as well."""
    dice, wrong, at_once, runs = np.random.default_rng(1), 0, 0, 400
    stop = enough(Wish(limit=1.0), 0, lambda: 6)
    assert stop is not None
    for _ in range(runs):
        times = rounds(dice, 1.0, 30)
        stopped = next((look for look in LOOKS if stop([each[:look] for each in times])), 30)
        found = ratio_of_medians(times[0][:stopped], times[1][:stopped])
        whole = ratio_of_medians(times[0], times[1])
        wrong += not found.low <= 1.0 <= found.high
        at_once += not whole.low <= 1.0 <= whole.high
    assert at_once / runs <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5
    assert wrong - at_once <= 0.01 * runs


def test_a_large_difference_is_known_early() -> None:
    stop = enough(Wish(limit=1.0), 0, lambda: 6)
    assert stop is not None
    assert stop(rounds(np.random.default_rng(2), 0.6, LOOKS[0]))


def test_models_opened_once_may_differ_by_chance() -> None:
    times = rounds(np.random.default_rng(3), 0.95, LOOKS[0], 0.001)
    known = [enough(Wish(limit=1.0), 0, lambda opened=opened: opened) for opened in (1, LOOKS[0])]  # type: ignore[misc]
    assert [stop is not None and stop(times) for stop in known] == [False, True]
