"""A verdict as annotations of a GitHub Actions run. The table for `$GITHUB_STEP_SUMMARY` is the Markdown report."""

from typing import TYPE_CHECKING

from optkit.reports._words import sentence

if TYPE_CHECKING:
    from optkit.report import Report

LEVELS = {"failed": "error", "undecided": "warning", "passed": "notice"}


def render(report: "Report") -> str:
    """A workflow command for each limit, for each part of the data that lost beyond chance, and for each warning."""
    lines = []
    for check in report.verdict.checks if report.verdict is not None else ():
        lines.append(f"::{LEVELS[check.outcome]} title={_property(f'optkit {check.limit}: {check.outcome}')}::{_message(check.reason)}")
    for comparison in report.comparisons:
        for part in comparison.slices:
            if part.delta.verdict == "worse":
                what = f"{part.delta.metric} of {comparison.after} where {part.by} is {part.value}: {sentence(part.delta)}"
                lines.append(f"::warning title=optkit::{_message(what)}")
    for warned in dict.fromkeys(warned for comparison in report.comparisons for warned in comparison.warnings):
        lines.append(f"::warning title=optkit::{_message(f'{warned.what}; {warned.hint}')}")
    return "".join(f"{line}\n" for line in lines)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
