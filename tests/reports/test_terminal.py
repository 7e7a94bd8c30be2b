from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from optkit.compare import Delta
from optkit.gate import Limits
from optkit.report import Report
from optkit.reports.terminal import render

ReportMaker = Callable[..., Report]
Golden = Callable[[str, str], None]


@pytest.mark.parametrize("models", [1, 2, 3])
def test_reads_at_eighty_columns(make_report: ReportMaker, golden: Golden, models: int) -> None:
    text = render(make_report(models))
    golden(f"reports/terminal_{models}.txt", text)
    assert max(map(len, text.splitlines())) <= 80


def test_reads_with_a_verdict(make_report: ReportMaker, limits: Limits, golden: Golden) -> None:
    text = render(make_report(1, limits))
    golden("reports/terminal_verdict.txt", text)
    assert max(map(len, text.splitlines())) <= 80


def test_rare_differences_read_too(make_report: ReportMaker, odd: tuple[Delta, ...], golden: Golden) -> None:
    golden("reports/terminal_rare.txt", render(make_report(1, None, odd)))


def test_colour_adds_nothing_but_colour(make_report: ReportMaker, limits: Limits) -> None:
    import re

    report = make_report(2, limits)
    coloured = render(report, 100, colour=True)
    assert "\x1b[" in coloured
    plain = "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines())
    assert plain == render(report, 100).rstrip("\n")


def test_models_stand_side_by_side_where_they_fit(make_report: ReportMaker) -> None:
    assert render(make_report(3), 80).count("latency, median") == 3
    assert render(make_report(3), 110).count("latency, median") == 1


def test_names_are_never_read_as_markup(make_report: ReportMaker) -> None:
    report = make_report()
    named = replace(report, comparisons=(replace(report.comparisons[0], after="[bold]model[/bold] :smile:"),))
    assert "[bold]model[/bold] :smile:" in render(named)


def test_every_place_has_its_table(make_report: ReportMaker) -> None:
    report = make_report()
    elsewhere = tuple(replace(each, device="openvino", batch=8, threads=4) for each in report.measurements)
    there: Any = tuple(replace(delta, device="openvino", batch=8) for delta in report.comparisons[0].deltas[5:6])
    both = replace(
        report,
        measurements=(*report.measurements, *elsewhere),
        comparisons=(replace(report.comparisons[0], deltas=(*report.comparisons[0].deltas, *there)),),
    )
    text = render(both)
    assert "\ncpu, batch 1, 1 thread\n" in text
    assert text.partition("\nopenvino, batch 8, 4 threads\n")[2].count("latency, median") == 1
