"""The help texts as users read them. After a change that is meant: `make golden`, and read the difference."""

from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner

from optkit.cli import main
from optkit.registry import members


@pytest.mark.parametrize("command", ["", *members("commands")])
def test_help(command: str, golden: Callable[[str, str], None]) -> None:
    loaded = main.get_command(click.Context(main), command) if command else None
    if loaded is not None:
        loaded._help_option = None  # click keeps the one of the first context, which another test may have made
    shown = CliRunner().invoke(main, [*([command] if command else []), "--help"], terminal_width=100)
    assert shown.exit_code == 0
    golden(f"help/{command or 'optkit'}.txt", shown.output)


def test_no_text_is_kept_of_a_command_that_is_gone(pytestconfig: pytest.Config) -> None:
    kept = {file.stem for file in (pytestconfig.rootpath / "tests/golden/help").glob("*.txt")}
    assert kept == {"optkit", *members("commands")}
