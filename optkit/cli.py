"""The command line: finds the subcommand, which does the work, and turns what went wrong into words and an exit code."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from optkit import __version__
from optkit.commands._boundary import guarded
from optkit.registry import members, suggestion


class Subcommands(click.Group):
    """Every file in `commands/` is a subcommand; a file is read when its command is asked for, or its one-line help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(members("commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in members("commands"):
            return None
        command: click.Command = import_module(f"optkit.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The first sentence of each, whole: click would cut it at the edge of the terminal."""
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(limit=200)) for name, command in commands.items() if command])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in members("commands") or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        raise click.UsageError(f"there is no command {args[0]!r}\nhint: {suggestion(args[0], members('commands'))}", ctx)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and exit, as `guarded` says. Shell completion and embedding are click's own."""
        if not standalone_mode or "_OPTKIT_COMPLETE" in os.environ:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        return guarded(lambda: self._answer(sys.argv[1:] if args is None else list(args), **extra))

    def _answer(self, args: list[str], **extra: Any) -> object:
        try:
            with self.make_context("optkit", args, **extra) as ctx:
                return self.invoke(ctx)
        except click.exceptions.Exit as end:
            return end.exit_code


@click.group(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="optkit %(version)s")
def main() -> None:
    """Make ONNX models smaller and faster, prove what it cost, refuse models that lost too much.

    Exit codes: 0 fine, 1 a limit is broken or nothing paid, 2 something you can mend, 3 a bug in optkit, 130 interrupted.
    """
