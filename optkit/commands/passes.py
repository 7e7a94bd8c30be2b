"""`optkit passes`: what a recipe can do to a model, and with which parameters."""

import json
import textwrap
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._options import json_option

if TYPE_CHECKING:
    from optkit.passes import Pass


@click.command(name="passes")
@click.argument("name", required=False)
@click.option("--schema", is_flag=True, help="Print the JSON schema of recipes, for completion in editors.")
@json_option
def command(name: str | None, schema: bool, as_json: bool) -> None:
    """List the passes that a recipe can name, or show the parameters of one."""
    from optkit.recipe.schema import recipe_schema
    from optkit.registry import load, members, plugins

    if schema:
        return click.echo(json.dumps(recipe_schema(), indent=2, ensure_ascii=False))
    words = (name,) if name else (*members("passes"), *plugins("passes"))
    facts = [_facts(word, load("passes", word)) for word in words]
    if as_json:
        return click.echo(json.dumps(facts[0] if name else facts, indent=2, ensure_ascii=False))
    return click.echo(_one(facts[0]) if name else _all(facts))


def _facts(word: str, kind: "type[Pass]") -> dict[str, Any]:
    from optkit import records
    from optkit.recipe.parameters import parameters_of
    from optkit.recipe.schema import first_sentence

    return {
        "name": word,
        "summary": first_sentence(kind),
        "takes": " or ".join(kind.formats()),
        "gives": kind.gives if len(kind.formats()) == 1 else "what it takes",
        "draws": " or ".join(kind.splits()) or None,
        "draws_if_given": kind.draws_if_given,
        "needs": list(kind.needs),
        "revision": kind.revision,
        "parameters": [records.plain(each) for each in parameters_of(kind)],
    }


def _all(facts: list[dict[str, Any]]) -> str:
    wide = max(len(each["name"]) for each in facts)
    lines = [_hang(f"{each['name']:{wide}}  ", each["summary"]) for each in facts]
    return "\n".join([*lines, "", "optkit passes NAME shows the parameters of one."])


def _one(facts: dict[str, Any]) -> str:
    lines = [_hang(f"{facts['name']}: ", facts["summary"], indent=2), "", f"takes {facts['takes']}, gives {facts['gives']}"]
    if facts["draws"]:
        lines.append(f"draws {facts['draws']} examples{', where there are any' if facts['draws_if_given'] else ''}")
    lines += [f"needs pip install 'optkit[{extra}]'" for extra in facts["needs"]]
    for each in facts["parameters"]:
        default = "must be given" if each["default"] is None else f"default: {each['default']}"
        lines += ["", _hang(f"  {each['name']}  ", f"{each['takes']}; {default}", indent=6), _hang("      ", each["help"])]
    if not facts["parameters"]:
        lines += ["", "It has no parameters."]
    return "\n".join(lines)


def _hang(start: str, text: str, indent: int | None = None) -> str:
    """Text wrapped to the terminal, its further lines indented under the first."""
    from shutil import get_terminal_size

    width = min(max(get_terminal_size((100, 0)).columns, 60), 120)
    further = " " * (len(start) if indent is None else indent)
    return textwrap.fill(text, width, initial_indent=start, subsequent_indent=further, break_long_words=False, break_on_hyphens=False)
