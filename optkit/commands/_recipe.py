"""What `run` and `check` take alike: a recipe, and changes to it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from optkit.commands._options import MODEL, data_option

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def recipe_options(command: Decorated) -> Decorated:
    """RECIPE, `--set`, `--model` and `--data`."""
    command = data_option(command)
    command = click.option("--model", type=MODEL, help="The model to start from, instead of the recipe's.")(command)
    sets = click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the recipe: passes.0.ratio=0.4. Repeatable.")
    return click.argument("recipe", type=click.Path(path_type=Path))(sets(command))


def overrides_of(changes: tuple[str, ...], model: Path | None, data: str | None) -> list[str]:
    """`--model` and `--data` are short for `--set model=…` and `--set data=…`."""
    short = [f"{key}={json.dumps(str(value))}" for key, value in (("model", model), ("data", data)) if value is not None]
    return [*short, *changes]
