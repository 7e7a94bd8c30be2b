"""PyTorch networks as the command line names them: a file of optkit's, or a factory with its arguments and weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from optkit.datasets import Examples
    from optkit.recipe import TorchSource

factory_option = click.option(
    "--factory", metavar="NAME", help="What makes the network of a .safetensors file: module:callable, code that you trust."
)


def is_file(model: str, files: str) -> bool:
    """Whether MODEL is a file and no factory. Raises UsageError where it is neither; `files` says which files would do."""
    from optkit.errors import UsageError
    from optkit.formats import format_of

    if format_of(Path(model)) == "torch":
        return True
    if ":" not in model:
        hint = f"give module:callable, timm:NAME, transformers:FOLDER, {files}"
        raise UsageError("this is no PyTorch model", where=model, hint=hint)
    return False


def names_and_values(text: str, option: str, example: str) -> dict[str, Any]:
    """The arguments of a factory, written as JSON such as `example`. Raises UsageError."""
    import json

    from optkit.errors import UsageError

    hint = f"write {option} '{example}'"
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{option}: this is not JSON: {error}", hint=hint) from error
    if not isinstance(found, dict):
        raise UsageError(f"{option}: expected names and values", hint=hint)
    return found


def network_and_examples(
    model: str, source: "TorchSource | None", data: str | None, folder: Path, seed: int
) -> "tuple[Path, Examples | None]":
    """A network as a file, and examples for it. What `source` makes is written to `folder`, and takes what the examples have.

    `source` is None where MODEL is a file.
    """
    from optkit.datasets import read_examples
    from optkit.plan.torch_source import assemble, learn_inputs
    from optkit.recipe import named
    from optkit.runtimes import open_session

    path = Path(model) if source is None else folder / named(model)
    if source is not None:
        assemble(source, path, seed)
    examples = read_examples(data, open_session(path).inputs) if data else None
    if source is not None and examples is not None:
        learn_inputs(path, examples)
    return path, examples
