"""`optkit export`: a PyTorch model as ONNX."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._made import lines, show_made
from optkit.commands._networks import factory_option, is_file, names_and_values, network_and_examples
from optkit.commands._options import FILE, data_option, made_options, seed_option

if TYPE_CHECKING:
    from optkit.artifact import Artifact
    from optkit.recipe import TorchSource


@click.command(name="export")
@click.argument("model")
@click.option("--output", "-o", type=FILE, required=True, help="Where to write the ONNX model.")
@factory_option
@click.option("--arguments", metavar="JSON", default="{}", help="What the factory is called with: '{\"classes\": 10}'.")
@click.option("--weights", type=FILE, help="A .safetensors file or a state dict, where MODEL is a factory.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=TYPE", help="What it takes: image=float32[N,3,224,224]. Repeatable.")
@data_option
@click.option(
    "--with-past", is_flag=True, help="A decoder of transformers with its key-value cache: inputs past_key_values.N.…, outputs present.N.…"
)
@click.option("--opset", type=click.IntRange(18, 23), default=20, show_default=True, help="Version of the ONNX operators.")
@seed_option
@made_options
def command(model: str, output: Path, **given: Any) -> None:
    """Export MODEL to ONNX: a factory such as nets:Classifier, timm:NAME or transformers:FOLDER, a file of optkit's, or a .pt2 program.

    Sizes with a name in --input may vary, the first one where nothing is said. The answers are compared with PyTorch's at several
    batch sizes, on the first examples in --data or on made-up ones, before the file appears.
    """
    from optkit.draft import check_output

    check_output(output, force=given["force"])
    made = _export(model, output, given)
    show_made(made, given, lambda: _text(made, model, given["data"]))


def _export(model: str, output: Path, given: dict[str, Any]) -> "Artifact":
    from tempfile import TemporaryDirectory

    from optkit.commands._progress import progress_display
    from optkit.formats import read_artifact
    from optkit.formats.torch_origin import trusting
    from optkit.needs import need
    from optkit.optimize import optimize
    from optkit.passes.export_onnx import ExportOnnx

    need("torch", "optkit export")
    source = None if is_file(model, "a .safetensors file that optkit wrote, or a .pt2 program") else _source(model, given)
    trust = filter(None, (given["factory"], model if source else None))
    with trusting(*trust), TemporaryDirectory(prefix="optkit-") as folder, progress_display(given["quiet"] or given["as_json"]) as progress:
        path, examples = network_and_examples(model, source, given["data"], Path(folder), given["seed"])
        data = {"calibration": examples} if examples is not None else None
        step = ExportOnnx(opset=given["opset"], with_past=given["with_past"])
        return optimize(
            read_artifact(path), [step], target=output, examples=data, seed=given["seed"], progress=progress, force=given["force"]
        )


def _source(model: str, given: dict[str, Any]) -> "TorchSource":
    from optkit.errors import UsageError
    from optkit.recipe import TorchSource

    inputs = {}
    for text in given["inputs"]:
        name, equals, kind = text.partition("=")
        if not equals:
            raise UsageError(f"--input {text}: expected NAME=TYPE", hint="write --input image=float32[N,3,224,224]")
        inputs[name] = kind
    return TorchSource(model, names_and_values(given["arguments"], "--arguments", '{"classes": 10}'), given["weights"], inputs)


def _text(made: "Artifact", model: str, data: str | None) -> str:
    from optkit.formats.onnx import model_size
    from optkit.units import show_bytes

    notes = made.lineage[-1].notes
    checked = notes["checked on"]
    vary = "; ".join(f"{name}: {', '.join(axes)}" for name, axes in notes["axes that vary"].items()) or "none"
    rows = {
        "size": show_bytes(model_size(made.path)),
        "answers": f"PyTorch's, within {checked['largest difference']:.1g} of the largest value, in {checked['feeds']} feeds",
        "vary": vary,
        "next": f"optkit quantize {made.path} --int8 --data {data or 'DATA'}",
    }
    return lines(f"{made.path}, from {model}", rows.items())
