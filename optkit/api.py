"""optkit for Python: the verbs of the command line, returning the records that it prints."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from optkit.progress import Progress, silent
from optkit.report import Report

if TYPE_CHECKING:
    from optkit.artifact import Artifact
    from optkit.datasets import Examples
    from optkit.follow import RunResult
    from optkit.recipe import Recipe

PathLike = str | os.PathLike[str]


def quantize(
    model: PathLike,
    output: PathLike | None = None,
    *,
    precision: Literal["int8", "int4", "fp16", "bf16"] = "int8",
    data: "str | Path | Examples | None" = None,
    device: str = "cpu",
    threads: int = 1,
    seed: int = 0,
    cache: bool = True,
    force: bool = False,
    progress: Progress = silent,
    **parameters: Any,
) -> "Artifact":
    """Make a model smaller and faster, verified before it appears at `output` (default: MODEL.int8.onnx beside it). As `optkit quantize`.

    `parameters` are those of the pass `quantize` for int8 (method, samples, ranges, exclude, min_sqnr, accept_size_only, target), of
    `quantize_weights` for int4 (group_size, symmetric, algorithm) and of `cast_half` for fp16 (io): `optkit passes NAME` shows them.
    What was chosen, and why, is in the lineage of the artifact returned.
    Raises NothingPaid when no variant is worth having, UsageError for a wrong parameter or an output that cannot be written,
    ModelError or DataError; nothing is left behind then.
    """
    from optkit.datasets import Examples, read_examples
    from optkit.draft import check_output
    from optkit.formats import read_artifact
    from optkit.optimize import optimize
    from optkit.recipe.reading import make_pass
    from optkit.runtimes import open_session
    from optkit.store import Store, default_place

    path = Path(model)
    target = Path(output) if output is not None else path.with_suffix(f".{precision}.onnx")
    words = {"int8": "quantize", "int4": "quantize_weights", "fp16": "cast_half", "bf16": "cast_half"}
    step = make_pass(words[precision], parameters | ({"type": "bfloat16"} if precision == "bf16" else {}))
    source = read_artifact(path)
    check_output(target, path, force=force)
    if data is not None and not isinstance(data, Examples):
        data = read_examples(str(data), open_session(path, device, threads).inputs)
    return optimize(
        source,
        [step],
        target=target,
        examples={} if data is None else {"calibration": data},
        device=device,
        threads=threads,
        seed=seed,
        cache=Store(default_place()) if cache else None,
        progress=progress,
        force=force,
    )


def compare(
    before: PathLike,
    *afters: PathLike,
    data: "str | Path | Examples | None" = None,
    metrics: Sequence[str] = (),
    output: str | None = None,
    devices: Sequence[str] = ("cpu",),
    batches: Sequence[int] = (1,),
    threads: int | Sequence[int] = 1,
    seconds: float = 10.0,
    precision: float | None = None,
    synthetic: bool = False,
    layers: bool = False,
    by: Sequence[str] = (),
    seed: int = 0,
    progress: Progress = silent,
) -> Report:
    """Measure models side by side: accuracy, speed, size, memory, every difference with an interval. As `optkit compare`.

    `by` also looks at parts of the data: by `label`, or by columns of it.
    Raises UsageError, ModelError or DataError.
    """
    from optkit.formats import read_artifact
    from optkit.measure import Settings
    from optkit.prove import prove

    settings = Settings.of(
        devices=devices,
        batches=batches,
        threads=threads,
        seconds=seconds,
        metrics=metrics,
        output=output,
        by=by,
        precision=precision,
        seed=seed,
    )
    return prove(
        [read_artifact(Path(model)) for model in (before, *afters)],
        str(data) if isinstance(data, Path) else data,
        settings,
        synthetic=synthetic,
        layers=layers,
        progress=progress,
    )


def run(
    recipe: "PathLike | Recipe",
    *,
    changes: Sequence[str] = (),
    output: PathLike | None = None,
    cache: bool = True,
    force: bool = False,
    progress: Progress = silent,
) -> "RunResult":
    """Do what a recipe says and prove what it cost. As `optkit run`.

    `changes` are such as `passes.0.ratio=0.4`. Model and reports go to `output`, else where the recipe says, else to a folder of the
    recipe's name in the current one. Raises RecipeError with every mistake at once, or what a pass, a model or the data has to say;
    nothing is left behind then. A limit that is broken raises nothing: it is in the verdict of the report.
    """
    from optkit.follow import follow
    from optkit.plan import make_plan
    from optkit.recipe import Recipe, read_recipe

    read = recipe if isinstance(recipe, Recipe) else read_recipe(Path(recipe), changes)
    return follow(make_plan(read), None if output is None else Path(output), cache=cache, force=force, progress=progress)
