from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from optkit.compare import Warned
from optkit.gate import Limits
from optkit.report import Report
from optkit.reports import github, junit, markdown, terminal

ReportMaker = Callable[..., Report]


def test_markdown(make_report: ReportMaker, limits: Limits, golden: Callable[[str, str], None]) -> None:
    golden("reports/markdown.md", markdown.render(make_report(1, limits)))


def test_markdown_without_a_verdict_is_the_tables(make_report: ReportMaker) -> None:
    text = markdown.render(make_report(3))
    assert text.count("| latency, median |") == 3
    assert "limit" not in text


def test_names_cannot_break_a_table(make_report: ReportMaker) -> None:
    report = make_report()
    named = replace(report, title="<script>|", comparisons=(replace(report.comparisons[0], after="a|b`c"),))
    text = markdown.render(named)
    assert "<script>" not in text
    assert "`a\\|b'c`" in text


def test_junit_has_a_case_for_each_limit(make_report: ReportMaker, limits: Limits) -> None:
    root = ElementTree.fromstring(junit.render(make_report(1, limits)))
    (suite,) = root
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    inside = {case.get("name"): [child.tag for child in case] for case in suite}
    assert inside == {
        "--max-drop 0.3% (top1 on cpu, batch 1)": ["skipped"],
        "--min-speedup 1.3 (latency_median on cpu, batch 1)": ["system-out"],
        "--max-size 0.2 (size on cpu, batch 1)": ["failure"],
        "--min-agreement 90% (agreement on cpu, batch 1)": ["system-out"],
    }
    failure = root.find(".//failure")
    assert failure is not None
    assert "5.3% of the original too large" in str(failure.get("message"))


def test_junit_has_times_for_viewers_that_add_them_up(make_report: ReportMaker, limits: Limits) -> None:
    suite = ElementTree.fromstring(junit.render(make_report(1, limits)))[0]
    assert {float(each.attrib["time"]) for each in (suite, *suite.iter("testcase"))} == {0.0}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("y_fashion_resnet8.onnx", "y_fashion_resnet8.onnx"),
        ("/model/__call__/MatMul", r"/model/\_\_call\_\_/MatMul"),
        ("a*b*c `d` ~~e~~ [f](g)", r"a\*b\*c \`d\` \~\~e\~\~ \[f](g)"),
        ("_of", r"\_of"),
    ],
)
def test_names_are_no_markup(text: str, shown: str, make_report: ReportMaker) -> None:
    report = replace(make_report(1), title=text)
    assert markdown.render(report).splitlines()[0] == f"### {shown}"


def test_a_hint_that_serves_several_warnings_is_said_once(make_report: ReportMaker) -> None:
    report = make_report(1)
    doubts = (Warned("one is odd", "look again"), Warned("other", "wait"), Warned("two is odd", "look again"))
    report = replace(report, comparisons=(replace(report.comparisons[0], warnings=doubts),))
    assert "warning: one is odd\nwarning: two is odd\nhint: look again\nwarning: other\nhint: wait\n" in terminal.render(report)
    assert "> **Warning:** one is odd  \n> **Warning:** two is odd  \n> Hint: look again\n\n" in markdown.render(report)


def test_junit_fails_the_undecided_under_strict(make_report: ReportMaker) -> None:
    root = ElementTree.fromstring(junit.render(make_report(1, Limits(max_drop=0.003, strict=True))))
    assert (root[0].get("failures"), root[0].get("skipped")) == ("1", "0")


def test_junit_tells_models_apart(make_report: ReportMaker, limits: Limits) -> None:
    cases = [case.get("name") for case in ElementTree.fromstring(junit.render(make_report(2, limits)))[0]]
    assert len(set(cases)) == len(cases) == 8
    assert "model.variant2.onnx: --max-size 0.2 (size on cpu, batch 1)" in cases


def test_junit_holds_any_name(make_report: ReportMaker, limits: Limits) -> None:
    report = replace(make_report(1, limits), title="a\x00<b>&\x1b")
    assert ElementTree.fromstring(junit.render(report))[0].get("name") == "optkit gate: a?<b>&?"


def test_github_annotations(make_report: ReportMaker, limits: Limits, golden: Callable[[str, str], None]) -> None:
    golden("reports/github.txt", github.render(make_report(1, limits)))


@pytest.mark.parametrize(("text", "escaped"), [("50%", "50%25"), ("a\nb\r", "a%0Ab%0D")])
def test_github_text_cannot_start_another_command(text: str, escaped: str) -> None:
    assert github._message(text) == escaped
    assert github._property(f"{text}:,") == f"{escaped}%3A%2C"
