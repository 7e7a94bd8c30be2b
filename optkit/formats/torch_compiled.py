"""PyTorch models to be run by torch.compile: the same file under another name, only while models are measured."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from optkit.artifact import Artifact
from optkit.errors import UsageError

COMPILED = ".compiled.safetensors"
"""How such a file's name ends."""


def is_compiled(path: Path) -> bool:
    """Whether torch.compile is to run a model."""
    return path.name.endswith(COMPILED)


@contextmanager
def with_compiled(models: Sequence[Artifact], wanted: bool) -> Iterator[list[Artifact]]:
    """The models and, where `wanted`, each PyTorch model once more behind itself, to be compiled. Raises UsageError where there is none."""
    if not wanted:
        yield list(models)
        return
    if not any(_can_be(model) for model in models):
        hint = "leave out the wish to compile, or compare with the PyTorch original (.safetensors)"
        raise UsageError("none of the models is a PyTorch model that torch.compile could run", hint=hint)
    with TemporaryDirectory(prefix="optkit-") as folder:
        found: list[Artifact] = []
        for number, model in enumerate(models):
            found.append(model)
            if _can_be(model):
                place = Path(folder) / str(number)
                place.mkdir()
                found.append(replace(model, path=_same_file(model.path, place / f"{model.path.stem}{COMPILED}")))
        yield found


def _can_be(model: Artifact) -> bool:
    return model.path.suffix == ".safetensors"


def _same_file(source: Path, target: Path) -> Path:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another disk, or none that knows links
        shutil.copyfile(source, target)
    return target
