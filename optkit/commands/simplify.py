"""`optkit simplify`: the same answers from fewer nodes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._made import lines, show_made
from optkit.commands._one_pass import apply_pass
from optkit.commands._options import FILE, MODEL, cached_options, data_option, threads_option

if TYPE_CHECKING:
    from optkit.artifact import Artifact

SMALLER = 0.95
"""Of its size, from which on a model of as many nodes is worth writing: exporters' notes on every node can be half of it."""


@click.command(name="simplify")
@click.argument("model", type=MODEL)
@click.option("--output", "-o", type=FILE, help="Where to write the model. Default: MODEL.simple.onnx beside it.")
@click.option("--opset", type=click.IntRange(13, 21), help="Convert a model of an earlier opset to this one first.")
@data_option
@threads_option
@cached_options
def command(model: Path, output: Path | None, **given: Any) -> None:
    """Fold what is constant in MODEL and drop what does nothing.

    The answers are compared with the original's, on the first examples in --data or on made-up ones, before the result appears.
    Where nothing can be left out, and it gets no faster, nothing is written, and the exit code is 1.
    """
    made = _simplify(model, output or model.with_suffix(".simple.onnx"), given)
    show_made(made, given, lambda: _text(made, model, given["data"]))


def _simplify(model: Path, output: Path, given: dict[str, Any]) -> "Artifact":
    from dataclasses import replace

    from optkit.draft import check_output, disk_error, draft_folder, publish
    from optkit.errors import NothingPaid
    from optkit.formats.onnx import model_files, model_size
    from optkit.passes.simplify_graph import SimplifyGraph

    check_output(output, model, force=given["force"])
    with draft_folder(output.parent) as folder:
        made = apply_pass(SimplifyGraph(opset=given["opset"]), model, folder / output.name, given)
        notes = made.lineage[-1].notes
        same = notes["nodes after"] >= notes["nodes before"] and not {"opset", "measured time"} & notes.keys()
        if same and model_size(made.path) > SMALLER * model_size(model):
            raise NothingPaid("there is nothing to leave out or to fold", where=str(model), hint="use it as it is")
        try:
            publish(made.path, model_files(made.path)[1:], output)
        except OSError as error:
            raise disk_error(error, output.parent) from error
    return replace(made, path=output)


def _text(made: "Artifact", original: Path, data: str | None) -> str:
    from optkit.formats.onnx import model_size
    from optkit.units import show_bytes

    notes = made.lineage[-1].notes
    tried = f"tried on {notes['checked on']}"
    rows = {
        "nodes": f"{notes['nodes before']} → {notes['nodes after']}",
        "time": "{:.2f} to {:.2f} of the original's".format(*notes["measured time"]) if "measured time" in notes else "",
        "size": f"{show_bytes(model_size(original))} → {show_bytes(model_size(made.path))}",
        "answers": tried if notes["checked on"].startswith("nothing") else f"the same, {tried}",
        "opset": notes.get("opset", ""),
        "next": f"optkit compare {original} {made.path} --data {data or 'DATA'}",
    }
    return lines(made.path, rows.items())
