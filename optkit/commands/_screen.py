"""A report on stdout, as wide as the terminal, or as JSON."""

import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from optkit.report import Report

NARROWEST, WIDEST = 60, 140
PLAIN = str.maketrans("█×µ…", "#xu.")
"""For terminals that know no more than ASCII."""


def show_report(report: "Report", as_json: bool) -> None:
    """Print a report; in colour only on a terminal, and never with NO_COLOR."""
    if as_json:
        from optkit.reports import json

        click.echo(json.render(report), nl=False)
        return
    from optkit.reports import terminal

    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size((80, 24)).columns))
    click.echo(terminal.render(report, width, colour), nl=False, color=colour)


def show_drawing(draw: "Callable[[Console], None]") -> None:
    """Print what `draw` prints on a console, without the spaces that rich fills lines with; in ASCII where nothing else is shown."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as captured:
        draw(console)
    text = captured.get().translate(PLAIN) if console.options.ascii_only else captured.get()
    lines = text.splitlines()
    click.echo("\n".join(lines if console.is_terminal else map(str.rstrip, lines)))


def end_with_verdict(report: "Report", as_json: bool) -> int:
    """The exit code, and what nobody should miss on stderr."""
    from optkit.commands._boundary import INTERRUPTED
    from optkit.measure import was_interrupted
    from optkit.reports import github
    from optkit.reports._words import verdict_sentence

    verdict = report.verdict
    if was_interrupted([each for each in report.measurements if not each.name.endswith("(baseline)")]):
        click.echo("interrupted: the report holds what was measured by then", err=True)
        return INTERRUPTED
    if verdict is None:
        return 0
    if os.environ.get("GITHUB_ACTIONS") == "true":
        click.echo(github.render(report), nl=False, err=True)
    if as_json and verdict.outcome != "passed":
        click.echo(verdict_sentence(verdict), err=True)
    return 1 if verdict.outcome == "failed" else 0
