"""`optkit distill`: a small PyTorch model learns to answer as a large one does."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from optkit.commands._made import lines, show_made
from optkit.commands._networks import factory_option, is_file, names_and_values, network_and_examples
from optkit.commands._options import FILE, RATIO, made_options, seed_option

if TYPE_CHECKING:
    from optkit.artifact import Artifact
    from optkit.passes import Pass
    from optkit.recipe import TorchSource

ARGUMENTS = '{"width": 32}'
"""As they are written on the command line."""


@click.command(name="distill")
@click.argument("student")
@click.option("--teacher", required=True, metavar="MODEL", help="An .onnx or .safetensors file, or module:callable.")
@click.option("--data", required=True, metavar="DATA", help="Examples to learn from, as for every command; labels help.")
@click.option("--output", "-o", type=FILE, help="Default: STUDENT.distilled.safetensors; a name that ends in .onnx exports it too.")
@factory_option
@click.option("--arguments", metavar="JSON", default="{}", help=f"What the student's factory is called with: '{ARGUMENTS}'.")
@click.option("--weights", type=FILE, help="What the student starts from, where STUDENT is a factory.")
@click.option("--teacher-factory", metavar="NAME", help="What makes the teacher's network, where it is a .safetensors file.")
@click.option("--teacher-arguments", metavar="JSON", default="{}", help="What the teacher's factory is called with.")
@click.option("--teacher-weights", type=FILE, help="The teacher's weights, where it is a factory.")
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True, help="How often every example is seen.")
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Examples for each change of the weights.")
@click.option("--learning-rate", type=float, default=1e-3, show_default=True, help="Its highest value.")
@click.option("--temperature", type=float, default=4.0, show_default=True, help="Softens the scores of both.")
@click.option("--label-share", type=RATIO, help="Weight of labels beside the teacher's answers. Default: 50%, 0 without labels.")
@click.option(
    "--validation", type=RATIO, default=0.1, show_default="10%", help="Share of the examples held out to choose the best epoch by."
)
@click.option("--metric", metavar="NAME", help="What epochs are chosen by. Default: what suits the labels, else the loss.")
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@seed_option
@made_options
def command(student: str, output: Path | None, **given: Any) -> None:
    """Train STUDENT to answer as a teacher does: a file of optkit's, such as a pruned model, or a factory such as nets:Small.

    The weights of the best epoch on examples held out are kept. More of it (hidden states, attention maps, augmentation, schedules) is in
    the pass `distill` of recipes. An interrupted training goes on where it was when the command is given again.
    """
    from optkit.draft import check_output
    from optkit.needs import need
    from optkit.training.processes import helps

    need("torch", "optkit distill")
    output = output or _beside(student)
    if not helps():
        check_output(output, force=given["force"])
    made = _distill(student, output, given)
    if not helps():
        show_made(made, given, lambda: _text(made, student, given["teacher"]))


def _beside(student: str) -> Path:
    from optkit.formats import format_of
    from optkit.recipe import named

    place = Path(student) if format_of(Path(student)) == "torch" else Path(named(student))
    return place.with_suffix(".distilled.safetensors")


def _distill(student: str, output: Path, given: dict[str, Any]) -> "Artifact":
    from tempfile import TemporaryDirectory

    from optkit.commands._progress import progress_display
    from optkit.formats import read_artifact
    from optkit.formats.torch_origin import trusting
    from optkit.optimize import optimize
    from optkit.store import Store, default_place

    source = None if is_file(student, "or a .safetensors file that optkit wrote") else _source(student, given)
    steps = _steps(output, given)
    factories = (
        given["factory"],
        student if source else None,
        given["teacher_factory"],
        given["teacher"] if ":" in given["teacher"] else None,
    )
    quiet = given["quiet"] or given["as_json"]
    with trusting(*filter(None, factories)), TemporaryDirectory(prefix="optkit-") as folder, progress_display(quiet) as progress:
        path, examples = network_and_examples(student, source, given["data"], Path(folder), given["seed"])
        assert examples is not None, "--data is required"
        return optimize(
            read_artifact(path),
            steps,
            target=output,
            examples={"training": examples, "calibration": examples},
            device=given["device"],
            seed=given["seed"],
            cache=Store(default_place()),
            progress=progress,
            force=given["force"],
        )


def _source(student: str, given: dict[str, Any]) -> "TorchSource":
    from optkit.recipe import TorchSource

    return TorchSource(student, names_and_values(given["arguments"], "--arguments", ARGUMENTS), given["weights"])


def _steps(output: Path, given: dict[str, Any]) -> "list[Pass]":
    from optkit.errors import UsageError
    from optkit.recipe.reading import make_pass

    teacher: Any = given["teacher"]
    if ":" in teacher and not Path(teacher).exists():
        arguments = names_and_values(given["teacher_arguments"], "--teacher-arguments", ARGUMENTS)
        weights = given["teacher_weights"]
        teacher = {"factory": teacher, "arguments": arguments, "weights": None if weights is None else str(weights)}
    elif not Path(teacher).is_file():
        raise UsageError("there is no such file", where=f"--teacher {teacher}", hint="check the path; or give module:callable")
    words = ("epochs", "batch_size", "learning_rate", "temperature", "label_share", "validation", "metric")
    distill = make_pass("distill", {"teacher": teacher, **{word: given[word] for word in words if given[word] is not None}})
    return [distill, make_pass("export_onnx", {})] if output.suffix == ".onnx" else [distill]


def _text(made: "Artifact", student: str, teacher: str) -> str:
    from optkit.formats import model_size
    from optkit.units import show_bytes, show_count, show_seconds

    notes = next(step.notes for step in made.lineage if step.by == "distill")
    rows = {
        "size": f"{show_bytes(model_size(made.path))}, {show_count(notes['parameters'])} parameters",
        "training": f"{notes['epochs']} epochs on {notes['learned from']:,} examples, {show_seconds(notes['measured_seconds'])}",
    }
    for name, value in notes.items():
        if name.startswith("validation "):
            metric, count = name.removeprefix("validation "), notes["held out"]
            rows[metric] = (
                f"{value['before']:.4g} before, {value['after']:.4g} after epoch {notes['best epoch']}, on {count:,} examples held out"
            )
            rows["beware"] = notes.get("beware") or "the best epoch was chosen on these examples, which flatters: compare on others"
    rows["next"] = (
        f"optkit compare {teacher} {made.path} --data OTHER_DATA" if made.format == "onnx" else f"optkit export {made.path} -o OUT.onnx"
    )
    return lines(f"{made.path}, {student} taught by {teacher}", rows.items())
