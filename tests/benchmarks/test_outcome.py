from dataclasses import replace

from exhaustive.outcome import Measured, Outcome, Rival, frontier, leaders, outcome_text
from hypothesis import given
from hypothesis import strategies as st

from optkit.stats.interval import Interval


def measured(name: str, ratio: float, sqnr: float, stage: str = "formats") -> Measured:
    return Measured(name, stage, Interval(ratio, ratio, ratio), sqnr, sqnr - 20, 0.3)


found = st.lists(st.tuples(st.floats(0.1, 2), st.floats(0, 60)), min_size=1, max_size=15).map(
    lambda pairs: [measured(str(i), ratio, sqnr) for i, (ratio, sqnr) in enumerate(pairs)]
)


@given(found)
def test_the_frontier_holds_what_nothing_beats(tried: list[Measured]) -> None:
    kept = frontier(tried)
    for each in tried:
        assert any(k.ratio.value <= each.ratio.value and k.sqnr >= each.sqnr for k in kept)
    for one in kept:
        assert not any(k is not one and k.ratio.value <= one.ratio.value and k.sqnr >= one.sqnr for k in kept)


@given(found, st.floats(0, 60), st.floats(-20, 40), st.integers(1, 5))
def test_leaders_keep_the_fidelity(tried: list[Measured], sqnr: float, room: float, count: int) -> None:
    first = leaders(tried, count, room=room, sqnr=sqnr)
    assert len(first) == min(count, sum(m.sqnr >= sqnr and m.room >= room for m in tried))
    assert all(m.sqnr >= sqnr and m.room >= room for m in first)
    assert [m.ratio.value for m in first] == sorted(m.ratio.value for m in first)


def test_what_the_default_would_refuse_leads_nowhere() -> None:
    assert leaders([measured("noisy", 0.2, 19.9), measured("good", 0.5, 20.0)], 5) == [measured("good", 0.5, 20.0)]


OURS, BEST = measured("optkit's default", 0.60, 30.0), measured("static, without Add", 0.58, 21.0)
ALIKE = measured("static, whole regions", 0.59, 29.8)
OUTCOME = Outcome(
    "small",
    OURS,
    Rival(BEST, Interval(0.94, 0.92, 0.96)),
    Rival(ALIKE, Interval(0.97, 0.95, 0.99)),
    (OURS, BEST, ALIKE, measured("dynamic", 2.0, 50.0, "others")),
    3,
)


def test_the_text_says_how_near_the_default_comes() -> None:
    text = outcome_text(OUTCOME)
    assert "4 configurations were measured, 3 refused or broken" in text
    assert "optkit's default (30.0 dB) does not reach 95%: it has 94.0% (92.0% to 96.0%) of the speed of the fastest" in text
    assert "It reaches 95%: it has 97.0% (95.0% to 99.0%) of the speed of the fastest that is as faithful, static, whole regions" in text
    assert "| dynamic | others | 2.000" in text


def test_where_nothing_is_handed_over_float32_is_compared() -> None:
    assert "optkit hands nothing over, and float32 does not reach 95%" in outcome_text(replace(OUTCOME, default=None, alike=None))
    assert "there is nothing to reach" in outcome_text(replace(OUTCOME, default=None, fastest=None, alike=None))
