"""`optkit run`: a recipe from model to verdict."""

from pathlib import Path

import click

from optkit.commands._options import force_option, json_option, talk_options
from optkit.commands._progress import progress_display, say
from optkit.commands._recipe import overrides_of, recipe_options
from optkit.commands._screen import end_with_verdict, show_report


@click.command(name="run")
@recipe_options
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="DIR", help="Where model and reports go, instead of the recipe's.")
@click.option("--no-cache", is_flag=True, help="Compute every step anew, and keep none.")
@force_option
@json_option
@talk_options
def command(
    recipe: Path,
    changes: tuple[str, ...],
    model: Path | None,
    data: str | None,
    output: Path | None,
    no_cache: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Do what RECIPE says: run its passes, compare the result with the original, hold it against the gate.

    Model, report.json, report.md and report.html go to -o DIR, else where the recipe says, else to a folder of the recipe's name. Exit
    code 1 where a limit is broken; the model and its reports are there all the same, to see why.
    """
    from optkit.api import run

    with progress_display(quiet) as progress:
        made = run(recipe, changes=overrides_of(changes, model, data), output=output, cache=not no_cache, force=force, progress=progress)
    for step in made.model.lineage:
        for name, value in step.notes.items():
            say(f"{step.by}: {name}: {value}", verbose)
    show_report(made.report, as_json)
    say(f"written: {made.model.path}, with report.json, report.md and report.html beside it", not quiet)
    return end_with_verdict(made.report, as_json)
