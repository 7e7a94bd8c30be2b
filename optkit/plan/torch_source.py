"""A PyTorch model that a recipe describes, put into one file: the network as its factory makes it, with the weights given."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from optkit.datasets import Examples
from optkit.errors import OptkitError, UsageError
from optkit.formats.torch import TorchModel, load_torch, load_weights, save_torch
from optkit.formats.torch_origin import Origin, TensorInput, build, trusting
from optkit.needs import need
from optkit.recipe import Recipe, TorchSource
from optkit.registry import looking_beside
from optkit.training.reproducible import same_randomness


@contextmanager
def trusting_recipe(recipe: Recipe) -> Iterator[None]:
    """While a recipe is followed, the factories that it names may be called, and what it names is looked for in its folder too."""
    named = [recipe.torch.factory] if recipe.torch is not None else []
    folder = recipe.torch.folder if recipe.torch is not None else Path(recipe.name).parent
    for step in recipe.steps:
        given = [value if field == "factory" else getattr(value, "factory", None) for field, value in step.pass_]
        named += [factory for factory in given if isinstance(factory, str)]
    beside = str(folder.absolute())
    with trusting(*named, folder=beside), looking_beside(beside):
        yield


def assemble(source: TorchSource, path: Path, seed: int = 0) -> None:
    """Write a model to `path`: the network with its weights; those that it has by chance follow from the seed.

    Raises UsageError or ModelError.
    """
    origin = Origin(source.factory, source.arguments, inputs=tuple(_inputs(source)), outputs=source.outputs)
    need("torch", f"the factory {source.factory}")
    with same_randomness(seed):
        module = build(origin)
        if source.weights is not None:
            load_weights(module, source.weights)
        save_torch(TorchModel(module, origin), path)  # which makes the network once more, to see what differs


def assemble_for(recipe: Recipe, source: TorchSource, path: Path) -> None:
    """The model of a recipe; errors name the line."""
    try:
        assemble(source, path, recipe.seed)
    except OptkitError as error:
        of_weights = source.weights is not None and str(source.weights) == error.where
        where = recipe.where("model.weights" if of_weights else "model.factory")
        error.where = f"{where}: {error.where}" if error.where else where
        raise


def learn_inputs(path: Path, examples: Examples) -> None:
    """Write into a model file what its inputs are, where it does not know: types and sizes as the examples have them."""
    model = load_torch(path)
    if not model.origin.inputs:
        save_torch(TorchModel(model.module, model.origin.with_inputs(inputs_of(examples))), path)


def inputs_of(examples: Examples) -> Sequence[TensorInput]:
    """Inputs as examples have them; the first axis, which is the examples', may vary."""
    return [
        TensorInput(name, str(array.dtype), tuple(array.shape[1:]) if examples.whole else ("batch", *array.shape[1:]))
        for name, array in examples.arrays.items()
    ]


def _inputs(source: TorchSource) -> Iterator[TensorInput]:
    for name, text in source.inputs.items():
        found = re.fullmatch(r"\s*(\w+)\s*\[([\w\s,]*)\]\s*", text)
        sizes = [size.strip() for size in found[2].split(",") if size.strip()] if found else []
        if not found or not hasattr(np, found[1]):
            hint = "write float32[N, 3, 224, 224]; letters are sizes that vary"
            raise UsageError(f"{text!r} is no type with sizes", where=f"input {name}", hint=hint)
        yield TensorInput(name, found[1], tuple(int(size) if size.isdecimal() else size for size in sizes))
