"""What a pass is. One file a pass; the file name is the word a recipe uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from optkit.artifact import Artifact
from optkit.progress import Progress, silent

if TYPE_CHECKING:
    import onnx_ir as ir

    from optkit.datasets import Examples
    from optkit.formats.torch import TorchModel


@dataclass(frozen=True)
class Job:
    """What a pass may use besides the artifact it reads: nothing else reaches it."""

    original: Artifact
    """The model the whole chain started from."""
    examples: "Examples | None" = None
    """What it draws: calibration or training examples, as it declares in `draws`."""
    device: str = "cpu"
    threads: int = 1
    seed: int = 0
    progress: Progress = silent
    notes: dict[str, Any] = field(default_factory=dict)
    kept: Path | None = None
    """A folder for what an interrupted run of this very step can go on from; it is there next time. None keeps nothing."""

    def note(self, name: str, value: Any) -> None:
        """Record a fact about this run: it goes into the lineage, the report and the model's metadata. JSON values only.

        Names that begin with `measured` hold what was timed on this machine: they stay out of the file, whose bytes must not vary.
        """
        self.notes[name] = value


class Pass(BaseModel):
    """Reads one artifact and writes a better one; never edits the one it reads.

    Fields are the parameters that a recipe may set; each has bounds, a default and a description.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    takes: ClassVar[str | tuple[str, ...]] = "onnx"
    """The format it reads. A pass that takes several gives back the one that it is given."""
    gives: ClassVar[str] = "onnx"
    """Of passes that take one format; see `gives_for`."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Extras, such as "torch", that it needs whatever it is given; see `needs_for`."""
    draws: ClassVar[str | tuple[str, ...] | None] = None
    """"calibration" or "training" examples, or both, the better ones first; None draws nothing."""
    draws_if_given: ClassVar[bool] = False
    """It can work without the examples it draws."""
    paths: ClassVar[tuple[str, ...]] = ()
    """Parameters that name files, such as `teacher` or `student.weights`; in a recipe they are relative to it."""
    revision: ClassVar[int] = 1
    """Raised when results change, which refreshes caches."""

    @classmethod
    def formats(cls) -> tuple[str, ...]:
        """The formats it takes."""
        return (cls.takes,) if isinstance(cls.takes, str) else cls.takes

    @classmethod
    def gives_for(cls, taken: str) -> str:
        """The format it gives when it is given `taken`."""
        return cls.gives if isinstance(cls.takes, str) else taken

    @classmethod
    def needs_for(cls, taken: str) -> tuple[str, ...]:
        """The extras it needs when it is given `taken`: a PyTorch model is nothing without PyTorch."""
        return tuple(dict.fromkeys((*cls.needs, *(("torch",) if taken == "torch" else ()))))

    @classmethod
    def splits(cls) -> tuple[str, ...]:
        """The splits of data that it draws from: the first of them that there is."""
        return (cls.draws,) if isinstance(cls.draws, str) else cls.draws or ()

    def files(self) -> Mapping[str, Path]:
        """The files that its parameters name, by parameter."""
        found = {}
        for path in self.paths:
            value: Any = self
            for key in path.split("."):
                value = getattr(value, key, None)
            if isinstance(value, str):
                found[path] = Path(value)
        return found

    def depends(self, original: str) -> Mapping[str, str]:
        """What decides the result besides source, parameters, data and seed, such as the digests of files that parameters name.

        `original` is the digest of the model that the whole chain started from. Nothing of it may need work.
        """
        return {}

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Read `source`, write the result to `target`. Raises NothingPaid, ModelError, DataError or any OptkitError."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it runs")


class OnnxPass(Pass):
    """A pass whose author writes only `edit`; loading, saving and metadata are done here."""

    def edit(self, model: "ir.Model", job: Job) -> "ir.Model":
        """A better model; the one given may be changed in place."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it edits")

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        from optkit.formats.onnx import load_model, save_model

        save_model(self.edit(load_model(source.path), job), target)


class TorchPass(Pass):
    """A pass on a PyTorch model whose author writes only `edit`; loading and saving are done here."""

    takes: ClassVar[str | tuple[str, ...]] = "torch"
    gives: ClassVar[str] = "torch"
    needs: ClassVar[tuple[str, ...]] = ("torch",)

    def edit(self, model: "TorchModel", job: Job) -> "TorchModel":
        """A better model; the one given may be changed in place. Changed sizes of its parts are found when it is stored."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it edits")

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        from optkit.formats.torch import load_torch, save_torch

        save_torch(self.edit(load_torch(source.path), job), target)


def word_of(step: Pass | type[Pass]) -> str:
    """The recipe's word for a pass: `QuantizeStatic` → `quantize_static`."""
    name = (step if isinstance(step, type) else type(step)).__name__
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
