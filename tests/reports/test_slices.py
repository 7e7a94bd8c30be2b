import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from optkit.compare import Delta, Says, Slice
from optkit.report import Report, parse_report
from optkit.reports import github, html, markdown, terminal
from optkit.reports import json as as_json
from optkit.reports._slices import change, slice_tables


def with_slices(make_report: Callable[..., Report], count: int = 3) -> Report:
    report = make_report(deltas=())
    top1 = make_report().comparisons[0].deltas[1]
    verdicts: tuple[Says, ...] = ("worse", "undecided", "same")
    found = tuple(
        Slice(
            "label",
            f"class | {i}",
            100,
            replace(
                top1, gain=0.0 if verdicts[min(i, 2)] == "same" else -0.05 / (i + 1), low=-0.06, high=0.01, verdict=verdicts[min(i, 2)]
            ),
            min(1.0, 0.001 * 10**i),
        )
        for i in range(count)
    )
    broken = Slice("label", "none", 4, replace(top1, before=0.0, gain=float("nan"), low=float("nan"), high=float("nan")), 1.0)
    return replace(report, comparisons=tuple(replace(each, slices=(*found, broken)) for each in report.comparisons))


def test_slices_in_the_terminal(make_report: Any, golden: Callable[[str, str], None]) -> None:
    golden("reports/slices.txt", terminal.render(with_slices(make_report), 80))


def test_slices_in_markdown(make_report: Any, golden: Callable[[str, str], None]) -> None:
    golden("reports/slices.md", markdown.render(with_slices(make_report)))


def _equal(delta: Delta) -> Delta:
    """The same before and after; where that is 0 there is no relative gain."""
    gain = 0.0 if delta.before else float("nan")
    return replace(delta, after=delta.before, gain=gain, low=gain, high=gain, verdict="same")


def test_a_score_that_stays_zero_is_the_same(make_report: Any) -> None:
    *_, never_right = with_slices(make_report).comparisons[0].slices
    assert never_right.delta.before == 0
    assert change(_equal(never_right.delta)) == "the same"
    assert change(replace(never_right.delta, after=0.5, verdict="undecided")) == "0 before"


def test_slices_that_are_all_the_same_take_one_line(make_report: Any) -> None:
    report = with_slices(make_report, 5)
    alike = tuple(replace(each, delta=_equal(each.delta)) for each in report.comparisons[0].slices)
    whole = make_report().comparisons[0].deltas[1:2]
    report = replace(report, comparisons=(replace(report.comparisons[0], slices=alike, deltas=whole),))
    assert "the same in all 6 slices" in terminal.render(report, 80)
    assert "by label, on cpu: the same in all 6 slices" in markdown.render(report)
    assert "class" not in terminal.render(report, 80) + markdown.render(report)
    assert "the same in all 6 slices" in html.render(report)


def test_many_slices_are_cut_to_the_worst(make_report: Any) -> None:
    (table,) = slice_tables(with_slices(make_report, 30).comparisons[0], False)
    assert len(table.rows) == 10
    assert table.says[0] == "21 more: none worse beyond chance"


def test_slices_are_flat_in_json_and_come_back(make_report: Any, tmp_path: Any) -> None:
    report = with_slices(make_report)
    text = as_json.render(report)
    first, *_, last = json.loads(text)["slices"]
    assert (first["model"], first["by"], first["value"], first["examples"], first["verdict"], first["corrected"]) == (
        "model.variant1.onnx",
        "label",
        "class | 0",
        100,
        "worse",
        0.001,
    )
    assert last["gain"] is None
    assert parse_report(text, tmp_path).comparisons[0].slices[:3] == report.comparisons[0].slices[:3]


def test_parts_that_lost_are_annotated(make_report: Any) -> None:
    (line, *_) = github.render(with_slices(make_report)).splitlines()
    assert line.startswith("::warning title=optkit::top1 of model.variant1.onnx where label is class | 0: 4.22 points lower (")
