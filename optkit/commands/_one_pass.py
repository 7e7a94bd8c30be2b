"""One pass on one model file: what quantize, prune and simplify do alike."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from optkit.artifact import Artifact
    from optkit.passes import Pass


def refuse_stray(only_for: Mapping[str, Sequence[str]], chosen: str, spelled: Callable[[str], str]) -> None:
    """An option that would be ignored is a mistake, such as `--int4 --method static`: raises UsageError.

    `only_for` says with which choices a parameter means something, `spelled` how a choice stands on the command line.
    """
    from click.core import ParameterSource

    from optkit.errors import UsageError

    asked = click.get_current_context()
    for name, fit in only_for.items():
        if asked.get_parameter_source(name) is ParameterSource.COMMANDLINE and chosen not in fit:
            what = f"--{name.replace('_', '-')} has no meaning with {spelled(chosen)}"
            raise UsageError(what, where=asked.command_path, hint=f"it goes with {spelled(fit[0])}")


def apply_pass(step: "Pass", model: Path, output: Path, given: Mapping[str, Any]) -> "Artifact":
    """Run a pass on a model file and write the result, with progress on stderr. `given` are the command's options.

    The data are its calibration examples. Raises what `optimize` raises.
    """
    from optkit.commands._progress import progress_display
    from optkit.datasets import read_examples
    from optkit.draft import check_output
    from optkit.formats import read_artifact
    from optkit.optimize import optimize
    from optkit.runtimes import open_session
    from optkit.store import Store, default_place

    source, device = read_artifact(model), given.get("device", "cpu")
    check_output(output, model, force=given["force"])
    examples = {"calibration": read_examples(given["data"], open_session(model, device).inputs)} if given["data"] else None
    with progress_display(given["quiet"] or given["as_json"]) as progress:
        return optimize(
            source,
            [step],
            target=output,
            examples=examples,
            device=device,
            threads=given["threads"],
            seed=given.get("seed", 0),
            cache=None if given["no_cache"] else Store(default_place()),
            progress=progress,
            force=given["force"],
        )
