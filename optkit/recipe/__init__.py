"""What to do with a model, said in a file: which passes, on which data, how to measure it, and what it may cost."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from optkit.gate import Limits
from optkit.measure import STANDARD, Settings
from optkit.passes import Pass

SYNTHETIC = "synthetic"
"""The word that stands for made-up inputs in place of data."""


@dataclass(frozen=True)
class Step:
    """One pass with the parameters that the recipe gives it."""

    word: str
    pass_: Pass
    """The pass itself, with its parameters checked."""
    where: str
    """`file:line`."""


@dataclass(frozen=True)
class TorchSource:
    """A PyTorch model to start from: what makes the network, and its weights."""

    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    folder: Path = Path()
    """Where the factory's module may be, besides the current folder: that of the recipe."""


def named(factory: str) -> str:
    """What a PyTorch model that is no file yet will be called: its factory's last name."""
    name = re.split(r"[:./]", factory.rstrip("/"))[-1]
    return f"{name or 'model'}.safetensors"


@dataclass(frozen=True)
class Data:
    """Where examples come from, by split. With one source for all (`whole`), it is divided: no example serves two purposes."""

    calibration: str | None = None
    training: str | None = None
    evaluation: str | None = None
    whole: str | None = None
    synthetic: bool = False
    """Inputs are made up; what is measured is then fidelity, never accuracy."""


@dataclass(frozen=True)
class Recipe:
    """A recipe without mistakes of spelling, type or range. Paths are absolute, or relative to the current folder."""

    name: str
    model: Path
    """The file; for a PyTorch model that its weights are to be put into, what it will be called."""
    steps: tuple[Step, ...]
    data: Data = Data()
    measure: Settings = STANDARD
    """How original and result are compared."""
    gate: Limits | None = None
    seed: int = 0
    output: Path | None = None
    """The folder for model and reports; None leaves it to the command."""
    torch: TorchSource | None = None
    """Where the model is made from, if it is no file yet."""
    lines: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`file:line` of each key, such as `data.calibration`."""

    @property
    def threads(self) -> int:
        """With which passes compute; 0 leaves the number to the runtime."""
        return self.measure.threads[0]

    def where(self, key: str) -> str:
        """`file:line` of a key, or of the key that it would stand in."""
        while key and key not in self.lines:
            key = key.rpartition(".")[0]
        return self.lines.get(key, self.name)


def read_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file. `overrides` are changes such as `passes.0.ratio=0.4`; paths in them are relative to the current folder.

    Raises RecipeError with every mistake at once, or UsageError when there is no such file.
    """
    from optkit.recipe.reading import recipe_from, recipe_text

    path = Path(path)
    return recipe_from(recipe_text(path), str(path), path.parent, overrides)
