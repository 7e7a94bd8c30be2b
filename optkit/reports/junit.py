"""A verdict as JUnit XML, which every CI system shows: a test case for each limit."""

from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from optkit.gate import Check
    from optkit.report import Report


NO_TIME = "0"
"""Limits take none; viewers that add times up want a number."""


def render(report: "Report") -> str:
    """Broken limits are failures; undecided ones are skipped, or failures under --strict. Without a verdict there is no case."""
    checks = report.verdict.checks if report.verdict is not None else ()
    broken = sum(check.outcome == "failed" for check in checks)
    strict = report.verdict is not None and report.verdict.outcome == "failed" and not broken
    attributes = {"name": _clean(f"optkit gate: {report.title}"), "timestamp": report.created.removesuffix("+00:00"), "time": NO_TIME}
    suite = ElementTree.Element("testsuite", attributes)
    for check in checks:
        _case(suite, check, strict, several=len(report.comparisons) > 1)
    counts = {"tests": len(checks), "failures": len(suite.findall(".//failure")), "errors": 0, "skipped": len(suite.findall(".//skipped"))}
    suite.attrib.update({name: str(count) for name, count in counts.items()})
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, check: "Check", strict: bool, several: bool) -> None:
    threads = "" if (check.delta.threads or 1) == 1 else f", {check.delta.threads} threads"
    place = f"{check.delta.device}, batch {check.delta.batch}{threads}"
    of = f"{check.model}: " if several and check.model else ""  # CI systems take cases of one name for one
    name = _clean(f"{of}{check.limit} ({check.delta.metric} on {place})")
    case = ElementTree.SubElement(suite, "testcase", classname="optkit.gate", name=name, time=NO_TIME)
    reason = _clean(check.reason)
    if check.outcome == "failed" or (check.outcome == "undecided" and strict):
        ElementTree.SubElement(case, "failure", message=reason, type=check.outcome).text = reason
    elif check.outcome == "undecided":
        ElementTree.SubElement(case, "skipped", message=reason)
    else:
        ElementTree.SubElement(case, "system-out").text = reason


def _clean(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(sign if sign.isprintable() or sign in "\t\n" else "?" for sign in text)
