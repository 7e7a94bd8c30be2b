"""`optkit doctor`: what is installed, what this machine can do for INT8, and what is wrong."""

from typing import TYPE_CHECKING

import click

from optkit.commands._options import json_option
from optkit.commands._screen import show_drawing

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from optkit.installation import Installation


@click.command(name="doctor")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show versions, what this processor can do for INT8, devices and extras, and what is wrong.

    A small model is run on each device. Exit code 2 where something has to be mended.
    """
    from optkit.installation.look import look_around
    from optkit.records import write_record

    found = look_around()
    if as_json:
        click.echo(write_record(found))
    else:
        show_drawing(lambda console: _show(found, console))
    ctx.exit(2 if found.troubles else 0)


def _show(found: "Installation", console: "Console") -> None:
    from rich.text import Text

    machine = found.machine
    versions = ", ".join(f"{name}=={version}" for name, version in machine.versions.items())
    rows = [("versions", versions), ("system", machine.system), ("processor", f"{machine.processor}, {_cores(machine.cores)}")]
    for label, text in [*rows, *(("GPU", name) for name in machine.gpus)]:
        table = _table(10, None)
        table.add_row(label, Text(text))
        console.print(table)
    _section(console, "instructions", [(f.name, f.present, f.means) for f in found.features])
    _section(console, "devices", [(d.word, d.works, "runs a small model" if d.works else d.fault or d.how or "") for d in found.devices])
    _section(console, "extras", [(e.name, e.present, e.gives if e.present else f"{e.gives}: {e.install}") for e in found.extras])
    console.print("\n[bold]problems[/bold]" if found.troubles else "\nno problems found")
    for trouble in found.troubles:
        console.print(Text(f"- {trouble.what}\n  hint: {trouble.hint}"))


def _section(console: "Console", title: str, rows: "list[tuple[str, bool, str]]") -> None:
    from rich.text import Text

    if not rows:
        return
    console.print(f"\n[bold]{title}[/bold]")
    table = _table(13, 3, None)
    for name, present, text in rows:
        table.add_row(name, Text("yes", style="green") if present else Text("no", style="yellow"), Text(text))
    console.print(table)


def _table(*widths: int | None) -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for width in widths:
        table.add_column(width=width, overflow="fold")
    return table


def _cores(count: int) -> str:
    return f"{count} core{'s' if count > 1 else ''}"
