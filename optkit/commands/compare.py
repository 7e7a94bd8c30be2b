"""`optkit compare`: models side by side."""

from pathlib import Path
from typing import Any

import click

from optkit.commands._measuring import check_outputs, measure_report, measuring_options, write_reports
from optkit.commands._options import FILE, MODEL
from optkit.commands._screen import end_with_verdict, show_report


@click.command(name="compare")
@click.argument("before", type=MODEL)
@click.argument("after", type=MODEL, nargs=-1, required=True)
@measuring_options
@click.option("--layers", is_flag=True, help="Also show at which layers the models part, and which of them harm the answers.")
@click.option("--report", "report_file", type=FILE, help="Also write everything measured as JSON, for optkit gate --report.")
def command(
    before: Path,
    after: tuple[Path, ...],
    as_json: bool,
    markdown: Path | None,
    html: Path | None,
    report_file: Path | None,
    **asked: Any,
) -> int:
    """Compare models with the first: accuracy, speed, size and memory, every difference with its 95 % interval.

    The models run in turns on the same examples. With labels in the data, accuracy is compared example by example; without, how
    alike the answers are, which is called fidelity. A difference that noise could have made is called too close to tell.
    """
    models = (before, *after)
    check_outputs((markdown, html, report_file), (*models, asked["data"]))
    report = measure_report(models, **asked)
    write_reports(report, json=report_file, markdown=markdown, html=html)
    show_report(report, as_json)
    return end_with_verdict(report, as_json)
