from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from side_by_side.verdict import Bout, Duel, Result, front, geometric_mean, is_usable, mean_speed_ups, speed_up

from optkit.stats.interval import Interval


def exactly(value: float) -> Interval:
    return Interval(value, value, value)


def result(name: str, ratio: float, lost: float = 0.0, sqnr: float = 40.0) -> Result:
    return Result(name, ratio=exactly(ratio), score=0.9 - lost, lost=exactly(lost), sqnr=exactly(sqnr), size=0.3, cpu=1.0, peak=10**8)


def bout(model: str, ours: Result, *peers: Result) -> Bout:
    return Bout(model, "top1", 100, 0.9, 0.001, ours.name, (ours, *peers), (), "optkit", "a machine")


@pytest.mark.parametrize(
    ("time", "quality", "stand"),
    [
        (0.90, Interval(0.02, 0.01, 0.03), "behind"),  # faster and shown to be better
        (0.96, Interval(0.02, 0.01, 0.03), "level"),  # better, and a tie in time
        (0.90, Interval(0.02, -0.01, 0.05), "level"),  # faster, and not shown to be better or worse
        (0.90, Interval(-0.02, -0.03, -0.01), "ahead"),  # faster at a loss
        (1.20, Interval(0.02, 0.01, 0.03), "ahead"),  # better and slower
        (1.00, Interval(0.0, -0.01, 0.01), "ahead"),  # a tie in both
    ],
)
def test_a_peer_beats_us_only_in_time_and_quality(time: float, quality: Interval, stand: str) -> None:
    assert Duel("peer", exactly(time), quality).stand == stand


def test_what_is_broken_slower_or_wrong_is_not_usable() -> None:
    good = result("peer", 0.5, lost=0.01)
    assert is_usable(good)
    assert not is_usable(replace(good, why="it does not load"))
    assert not is_usable(result("peer", 1.01))
    assert not is_usable(result("peer", 0.5, lost=0.0101))
    assert not is_usable(Result("peer"))


def test_without_a_score_fidelity_decides() -> None:
    unscored = replace(result("peer", 0.5), score=None, lost=None)
    assert is_usable(unscored)
    assert not is_usable(replace(unscored, sqnr=exactly(17.9)))


def test_speed_ups_count_the_unusable_as_float32() -> None:
    assert speed_up(result("peer", 0.5)) == 2
    assert speed_up(result("peer", 0.5, lost=0.2)) == 1
    assert speed_up(result("peer", 4.0)) == 1
    assert speed_up(None) == 1


def test_means_are_of_every_model_also_where_a_peer_has_no_result() -> None:
    bouts = [
        bout("one", result("optkit", 0.25), result("a: x", 0.5), result("b: y", 0.5, lost=0.5)),
        bout("two", result("optkit", 1.0), result("a: x", 0.125)),
    ]
    means = mean_speed_ups(bouts)
    assert means["optkit"] == pytest.approx(2)
    assert means["a: x"] == pytest.approx(4)
    assert means["b: y"] == 1


def test_other_variants_of_ours_are_no_peers() -> None:
    held = bout("one", result("optkit", 0.5), result("optkit --effort high", 0.1), result("a: x", 0.9))
    assert set(mean_speed_ups([held])) == {"optkit", "a: x"}


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=20), st.floats(0.1, 10))
def test_the_mean_of_ratios_is_the_ratio_of_means(values: list[float], factor: float) -> None:
    assert min(values) * (1 - 1e-9) <= geometric_mean(values) <= max(values) * (1 + 1e-9)
    assert geometric_mean([value * factor for value in values]) == pytest.approx(factor * geometric_mean(values))


results = st.lists(st.tuples(st.floats(0.1, 2), st.floats(0, 0.5)), min_size=1, max_size=12).map(
    lambda pairs: [result(str(i), time, lost) for i, (time, lost) in enumerate(pairs)]
)


@given(results)
def test_the_front_holds_what_nothing_beats(found: list[Result]) -> None:
    kept = front(found)
    assert kept
    times = {r.name: (r.ratio.value, r.lost.value) for r in found if r.ratio and r.lost}
    for name, (time, lost) in times.items():
        beaten = any(t <= time and q <= lost and (t, q) != (time, lost) for t, q in times.values())
        assert (name in kept) == (not beaten)


def test_what_is_broken_or_a_copy_is_not_on_the_front() -> None:
    best, copy = result("a", 0.5), replace(result("b", 0.5), same_as="a")
    broken = replace(result("c", 0.1), why="its answers are not finite")
    assert front([best, copy, broken]) == {"a"}


def test_what_was_not_scored_is_not_on_the_front_of_those_that_were() -> None:
    slow = replace(result("b", 5.0, sqnr=60.0), score=None, lost=None)
    assert front([result("a", 0.5, lost=0.01), slow]) == {"a"}
    assert front([replace(result("a", 0.5), score=None, lost=None), slow]) == {"a", "b"}


def test_bounds_may_be_missing() -> None:
    assert speed_up(replace(result("slow", 6.9), ratio=Interval(6.9, 0.0, inf))) == 1
