import json
from collections.abc import Callable
from pathlib import Path

from optkit.compare import Delta
from optkit.gate import Limits
from optkit.report import Report, parse_report
from optkit.reports.json import render

FIELDS = ["metric", "device", "batch", "unit", "better", "before", "after", "gain", "low", "high", "verdict", "method", "n", "p", "threads"]
ReportMaker = Callable[..., Report]


def test_deltas_are_a_flat_list_with_the_fields_that_scripts_rely_on(make_report: ReportMaker) -> None:
    deltas = json.loads(render(make_report(2)))["deltas"]
    assert [list(each) for each in deltas] == [["model", *FIELDS]] * 20
    assert {each["model"] for each in deltas} == {"model.variant1.onnx", "model.variant2.onnx"}
    assert deltas[0] == {
        "model": "model.variant1.onnx",
        "metric": "size",
        "device": "cpu",
        "batch": 1,
        "unit": "bytes",
        "better": "lower",
        "before": 68.7e6,
        "after": 17.4e6,
        "gain": 0.7467,
        "low": 0.7467,
        "high": 0.7467,
        "verdict": "better",
        "method": "exact",
        "n": 1,
        "p": None,
        "threads": None,
    }


def test_it_is_json_that_any_reader_takes(make_report: ReportMaker, odd: tuple[Delta, ...]) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads(render(make_report(1, None, odd)), parse_constant=refuse)
    assert found["deltas"][1]["gain"] is None
    assert found["deltas"][2]["low"] is None


def test_the_whole_is_a_report_again(make_report: ReportMaker, limits: Limits) -> None:
    report = make_report(2, limits)
    assert parse_report(render(report), Path("report.json")) == report


def test_raw_values_stand_on_one_line(make_report: ReportMaker) -> None:
    assert '"values": [68700000.0]' in render(make_report())
