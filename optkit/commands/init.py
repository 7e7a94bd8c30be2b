"""`optkit init`: a first recipe for a model."""

import json
from pathlib import Path

import click

from optkit.commands._options import FILE, MODEL, data_option, force_option, json_option


@click.command(name="init")
@click.argument("model", type=MODEL)
@data_option
@click.option("--output", "-o", type=FILE, metavar="FILE", help="Where the recipe goes; by default MODEL.yaml in the current folder.")
@force_option
@json_option
def command(model: Path, data: str | None, output: Path | None, force: bool, as_json: bool) -> None:
    """Write a first recipe for MODEL: what is in it decides the passes, the data decides the limits."""
    from optkit.datasets import read_examples
    from optkit.draft import check_output, draft_folder, publish
    from optkit.formats import read_artifact
    from optkit.inspection.inspect_model import inspect_model
    from optkit.plan.labels import has_accuracy
    from optkit.recipe.starter import starter
    from optkit.runtimes import open_session

    read_artifact(model)
    file = output or Path(f"{model.stem}.yaml")
    check_output(file, model, force=force)
    seen = inspect_model(model)
    examples = read_examples(data, seen.inputs) if data is not None else None
    judged = examples is not None and has_accuracy(open_session(model), examples)
    made = starter(seen, file.parent, data, judged)
    with draft_folder(file.parent) as draft:
        (draft / file.name).write_text(made.text, encoding="utf-8")
        publish(draft / file.name, (), file)
    if as_json:
        facts = {"recipe": str(file), "kind": made.kind, "passes": made.passes, "why": made.why}
        return click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    return click.echo(f"{file}: {' → '.join(made.passes)}\nnext: optkit run {file}")
