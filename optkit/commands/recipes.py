"""`optkit recipes`: ready recipes, and which one is for whom."""

import json

import click

from optkit.commands._options import json_option


@click.command(name="recipes")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the ready recipes, or print one: optkit recipes int8_cnn > my.yaml."""
    from optkit import records
    from optkit.recipe.ready import ready_recipe, ready_recipes

    if name is not None:
        found = ready_recipe(name)
        text = found.path.read_text(encoding="utf-8")
        return click.echo(json.dumps({**records.plain(found), "text": text}, indent=2) if as_json else text.rstrip("\n"))
    known = ready_recipes()
    if as_json:
        return click.echo(json.dumps([records.plain(each) for each in known], indent=2))
    wide = max((len(each.name) for each in known), default=0)
    for each in known:
        click.echo(f"{each.name:{wide}}  {each.purpose}")
    return click.echo(
        "\nWrite one to a file:     optkit recipes NAME > my.yaml\nRun it on your model:    optkit run my.yaml --model M.onnx --data D.npz"
    )
