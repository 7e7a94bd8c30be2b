from dataclasses import replace
from math import inf

from side_by_side.tables import bout_text, summary_text, verdict_text
from side_by_side.verdict import Bout, Duel, Result

from optkit.records import read_record, write_record
from optkit.stats.interval import Interval

OURS = Result("optkit", "", Interval(0.5, 0.48, 0.52), 0.91, Interval(0.0, -0.01, 0.01), Interval(38, 37, 39), 0.27, 4.0, 2 * 10**8)
PEER = replace(OURS, name="tool: static", ratio=Interval(0.56, 0.55, 0.57), lost=Interval(0.005, 0.001, 0.009))
SLOW = replace(OURS, name="tool: dynamic", ratio=Interval(6.9, 0.0, inf), score=None, lost=None)
BROKEN = Result("other: default", "RuntimeError: no | way", cpu=1.0, peak=10**8)
BOUT = Bout(
    "small",
    "top1",
    1000,
    0.91,
    1.27e-4,
    "optkit",
    (OURS, PEER, SLOW, BROKEN),
    (Duel("tool: static", Interval(1.1, 1.05, 1.2), Interval(-0.005, -0.009, -0.001)),),
    "optkit 1.0 (abc)",
    "a machine",
)


def rows(text: str) -> list[list[str]]:
    return [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_every_result_has_a_row() -> None:
    text = bout_text(BOUT)
    assert "| tool: static ◄ | 0.9100 | +0.5 pt (+0.1 to +0.9) | 38.0 | 0.56 (0.55 to 0.57) | 0.270 | 4.0 / 200 | – |" in text
    assert "| about 6.90 |" in text
    assert "fails: RuntimeError: no \\| way" in text
    assert "float32: top1 0.9100 on 1,000 examples, 0.127 ms" in text


def test_the_verdict_names_who_beats_us() -> None:
    assert verdict_text(BOUT).startswith(
        "No peer is both faster and more accurate. Ahead in one, not shown to be behind in the other: none"
    )
    beaten = replace(BOUT, duels=(Duel("tool: static", Interval(0.8, 0.7, 0.9), Interval(0.01, 0.001, 0.02)),))
    assert verdict_text(beaten).startswith("**Beaten by tool: static**")
    even = replace(BOUT, duels=(Duel("tool: static", Interval(0.8, 0.7, 0.9), Interval(0.0, -0.01, 0.01)),))
    assert "tool: static (0.80 (0.70 to 0.90) of our time, +0.0 pt (-1.0 to +1.0))" in verdict_text(even)


def test_the_summary_compares_with_the_best_single_peer() -> None:
    text = summary_text([BOUT])
    assert "| optkit | 2.000 | 1 of 1 |" in text
    assert "| tool: static | 1.786 | 1 of 1 |" in text
    assert "| tool: dynamic | 1.000 | 0 of 1 |" in text
    assert "1.12× that of tool: static, the best single peer: it does not clear the bar of 1.15×" in text
    assert text.endswith("A peer is both faster and more accurate on: no model.")


def test_the_summary_says_where_no_peer_is_usable() -> None:
    assert "| small | 2.00 | none usable |" in summary_text([replace(BOUT, results=(OURS, SLOW, BROKEN))])


def test_a_comparison_is_read_back_as_it_was_written() -> None:
    assert read_record(Bout, write_record(BOUT)) == BOUT
