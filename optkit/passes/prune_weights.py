"""Zeros in place of the smallest weights: for compressed size, and for hardware that skips zeros."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from optkit.arrays import Array
from optkit.artifact import Artifact
from optkit.errors import DataError, UsageError
from optkit.passes import Job, Pass
from optkit.passes._parameters import LayersWhole
from optkit.passes._zeros import NO_FASTER, prune_onnx, prune_torch, tell_sizes
from optkit.pruning.zeros import Mask, largest_kept, sparsity_of
from optkit.training.parameters import TrainingParameters


class Gradual(TrainingParameters):
    """A training during which weights go little by little, on labelled examples."""

    until: float = Field(0.75, gt=0, le=1, description="Share of the training after which no more weights go.")
    loss: str | None = Field(None, description="As in finetune. Default: what suits the labels.")


class PruneWeights(Pass):
    """Sets the smallest weights of matrix products and convolutions to 0: smaller once compressed, not faster in ONNX Runtime.

    A training that follows keeps the zeros.
    """

    revision: ClassVar[int] = 2
    takes: ClassVar[str | tuple[str, ...]] = ("torch", "onnx")
    draws: ClassVar[str | tuple[str, ...] | None] = "training"
    draws_if_given: ClassVar[bool] = True

    sparsity: float = Field(0.5, gt=0, lt=1, description="Share of the weights that become 0.")
    scope: Literal["global", "layer"] = Field("global", description="global: the smallest of all weights; layer: the same share of each.")
    exclude: LayersWhole = ()
    gradual: Gradual | None = Field(
        None, description="Train while weights go, fewer and fewer at a time, as {epochs: 5}; PyTorch models only. Default: all at once."
    )

    def run(self, source: Artifact, target: Path, job: Job) -> None:
        """Raises UsageError for a pattern that matches nothing or a sparsity that leaves a layer nothing, NothingPaid, DataError."""
        if self.gradual is not None and source.format == "onnx":
            raise UsageError("gradual: an ONNX model cannot be trained", hint="leave gradual out, or prune the PyTorch model")
        if self.gradual is not None:
            self._train(self.gradual, source, target, job)
        else:
            prune = prune_torch if source.format == "torch" else prune_onnx
            prune(source.path, target, self._choose, self.exclude, job)
        tell_sizes(source, target, job)
        job.note("remarks", [f"{NO_FASTER}; it is once compressed, and other runtimes skip zeros"])

    def depends(self, original: str) -> Mapping[str, str]:
        from optkit.passes._trains import recipe_folder
        from optkit.training.functions import code_digest

        words = (self.gradual.loss, self.gradual.metric, self.gradual.augment) if self.gradual is not None else ()
        return {word: code_digest(word, recipe_folder()) for word in words if word is not None and ":" in word}

    def _choose(self, weights: Mapping[str, Array], axes: Mapping[str, int]) -> Mapping[str, Mask]:
        return largest_kept(weights, self.sparsity, self.scope)

    def _train(self, how: Gradual, source: Artifact, target: Path, job: Job) -> None:
        from optkit.formats.torch import TorchModel, load_torch, save_torch
        from optkit.passes._learned import tell
        from optkit.passes._trains import recipe_folder
        from optkit.pruning.gradual import GradualZeros
        from optkit.pruning.torch_weights import weights_of
        from optkit.training import train
        from optkit.training.losses import label_loss

        if job.examples is None:
            raise DataError("gradual pruning trains, and there are no training examples", hint="say where they are: data: {training: FILE}")
        model, folder = load_torch(source.path), recipe_folder()
        before = sparsity_of(weights_of(model.module, self.exclude))  # a pattern that matches nothing is told before anything is trained
        zeros = GradualZeros(model.module, self.sparsity, how.until, self.scope, self.exclude)
        full = int(how.epochs * how.until + 0.999)
        outcome = train(
            model.module,
            label_loss(how.loss, how.output, folder),
            job.examples,
            how,
            job,
            outputs=model.origin.outputs,
            before_epoch=zeros.before_epoch,
            after_step=zeros.after_step,
            choose_from=full,
            folder=folder,
            zeros=model.origin.zeros,
        )
        tell(outcome, job)
        job.note("sparsity", [round(before, 4), round(sparsity_of(weights_of(model.module, self.exclude)), 4)])
        save_torch(TorchModel(model.module, model.origin.with_zeros(zeros.layers)), target)
