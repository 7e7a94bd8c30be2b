"""What a command that made a model prints: the model and what became of it, in lines of at most 80 columns, or as JSON."""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from optkit.artifact import Artifact

WIDTH = 80


def show_made(made: "Artifact", given: Mapping[str, Any], text: Callable[[], str]) -> None:
    """With `--json` the artifact, with `--quiet` nothing, else `text()`; `given` are the command's options."""
    from optkit.records import write_record

    if given["as_json"]:
        click.echo(write_record(made))
    elif not given["quiet"]:
        click.echo(text())


def lines(head: object, rows: Iterable[tuple[str, str]]) -> str:
    """`head`, and below it what each row says; those that say nothing are left out."""
    return "\n".join([str(head), *(_row(name, said) for name, said in rows if said)])


def _row(name: str, said: str) -> str:
    lead = f"  {name:9}"
    if name == "next":  # a command is copied whole
        return lead + said
    return textwrap.fill(
        said, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False, break_on_hyphens=False
    )
