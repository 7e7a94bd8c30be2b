"""`optkit gate`: refuse a model that lost too much."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._measuring import check_outputs, measure_report, measuring_options, write_reports
from optkit.commands._options import FILE, MODEL, RATIO, share_between
from optkit.commands._screen import end_with_verdict, show_report
from optkit.errors import UsageError

if TYPE_CHECKING:
    from optkit.gate import Limits, Preset
    from optkit.report import Report


@click.command(name="gate")
@click.argument("models", type=MODEL, nargs=-1, metavar="[BEFORE AFTER...]")
@click.option("--max-drop", type=RATIO, callback=share_between(0, 0.99), help="Largest loss of accuracy, relative to the original's: 1%.")
@click.option(
    "--preset",
    type=click.Choice(["mlperf-99", "mlperf-99.9"]),
    help="A largest loss by name: 99% or 99.9% of the original's score is kept.",
)
@click.option(
    "--min-speedup",
    type=click.FloatRange(0, min_open=True),
    help="How many times as fast: 1.3. By median latency, or by throughput where some examples take longer than others.",
)
@click.option("--max-size", type=RATIO, callback=share_between(0.001, 10), help="Largest file, relative to the original's: 0.5.")
@click.option(
    "--min-agreement",
    type=RATIO,
    callback=share_between(0, 1),
    help="Least share of examples with the original's answer: 99%. Needs no labels.",
)
@click.option("--max-fallback-nodes", type=click.IntRange(0), help="Most nodes on the CPU, on other devices: 0.")
@click.option("--strict", is_flag=True, help="Fail where the data does not decide.")
@click.option("--report", "report_file", type=FILE, help="Judge this report of optkit compare; nothing is measured.")
@click.option(
    "--baseline", type=FILE, help="Limits are relative to the model in this report, not to BEFORE; speeds only on the same machine."
)
@click.option("--junit", type=FILE, help="Also write the verdict as JUnit XML.")
@measuring_options
def command(
    models: tuple[Path, ...],
    max_drop: float | None,
    preset: "Preset | None",
    min_speedup: float | None,
    max_size: float | None,
    min_agreement: float | None,
    max_fallback_nodes: int | None,
    strict: bool,
    report_file: Path | None,
    baseline: Path | None,
    junit: Path | None,
    markdown: Path | None,
    html: Path | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Hold models against limits: exit code 1 where a limit is broken, with what broke it and by how much.

    A limit holds when the whole 95 % interval keeps it, and is broken when the whole interval breaks it. In between it is undecided,
    which passes, unless --strict is given, and says how much more data would decide. With --baseline, BEFORE may be left out; where it is
    named, and is the original of that report too, times are compared by their ratios to it, so that the state of the machine cancels out.
    --report with --html or --markdown and no limit only writes that report anew.
    """
    from optkit.gate import Limits, limits_asked

    against = None if baseline is None else str(baseline)
    limits = Limits(max_drop, min_speedup, max_size, min_agreement, strict, preset, against, max_fallback_nodes)
    if limits != Limits() or report_file is None or not (markdown or html):
        limits_asked(limits)
    check_outputs((junit, markdown, html), (*models, report_file, baseline, asked["data"]))
    report = _judged(models, report_file, limits, asked)
    write_reports(report, junit=junit, markdown=markdown, html=html)
    show_report(report, as_json)
    return end_with_verdict(report, as_json)


def _judged(models: tuple[Path, ...], report_file: Path | None, limits: "Limits", asked: dict[str, Any]) -> "Report":
    from dataclasses import replace

    from optkit.baseline import against, read_baseline
    from optkit.gate import Limits, judge
    from optkit.prove import to_judge
    from optkit.report import load_report

    if report_file is None:
        if len(models) < (2 if limits.baseline is None else 1):
            raise UsageError("there is nothing to judge", hint="name BEFORE and AFTER, or a report with --report FILE")
        return measure_report(models, limits=limits, **asked)
    if models:
        raise UsageError("a report is judged as it is, so no models are read", where=f"--report {report_file}", hint="leave the models out")
    report = load_report(report_file)
    if limits.baseline is not None:
        return against(report, read_baseline(limits.baseline), limits, asked["seed"])
    concerned = to_judge(report.comparisons, report.measurements)
    return report if limits == Limits() else replace(report, verdict=judge(concerned, limits))
