"""`optkit check`: whether a recipe can be run, what it needs, and what is already there."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from optkit.commands._options import json_option
from optkit.commands._recipe import overrides_of, recipe_options

if TYPE_CHECKING:
    from optkit.plan.preview import Preview


@click.command(name="check")
@recipe_options
@json_option
def command(recipe: Path, changes: tuple[str, ...], model: Path | None, data: str | None, as_json: bool) -> None:
    """Read RECIPE, its model and its data, and show what a run would do. Nothing is run."""
    from optkit import records
    from optkit.plan import make_plan
    from optkit.plan.preview import preview
    from optkit.recipe import read_recipe
    from optkit.store import Store, default_place

    plan = make_plan(read_recipe(recipe, overrides_of(changes, model, data)))
    seen = preview(plan, Store(default_place()))
    click.echo(records.write_record(seen) if as_json else _text(seen))


def _text(seen: "Preview") -> str:
    from optkit.recipe.parameters import written

    rows = [("model", seen.model)]
    for split, each in seen.data.items():
        rows.append((split, f"{each.examples} {'labelled ' if each.labelled else ''}examples of {each.source}"))
    if not seen.data:
        rows.append(("data", "made-up inputs"))
    for i, step in enumerate(seen.steps):
        given = ", ".join(f"{name}: {written(value)}" for name, value in step.parameters.items())
        rows.append((f"step {i + 1}", f"{step.word}{f' ({given})' if given else ''}{', kept from an earlier run' if step.kept else ''}"))
    rows.append(("devices", ", ".join(seen.devices)))
    wide = max(len(name) for name, _ in rows)
    return "\n".join([*(f"{name:{wide}}  {text}" for name, text in rows), *seen.remarks, f"{seen.recipe} can be run"])
